"""The service: models, each with an engine in a thread of its own, behind a bounded queue.

service = Service([model], settings)
reply = await service.answer("lavida-mini", turns, {"steps": 8})
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lavida.api import Model
from lavida.decode.loop import Step
from lavida.decode.request import Draft, Request, make_request
from lavida.engine import Engine, GivenUpError, Ticket, bytes_per_token
from lavida.errors import RequestError
from lavida.serve.certain import CertainText
from lavida.serve.errors import BusyError, ClosingError, DeadlineError, FieldError, UnknownModelError
from lavida.serve.reply import Reply
from lavida.serve.settings import Settings
from lavida.text.messages import Turn

T = TypeVar("T")

_PREPARING = 2  # threads that check requests; the engine's computes
_BUFFER = 256  # steps that are kept for a client who reads more slowly than the model writes
_LONGEST_RETRY = 60  # seconds


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Report that an answer waits, for its place or for its next step."""

    request: Request
    ahead: int  # answers that must find a place before it


@dataclass(frozen=True, kw_only=True)
class Written:
    """Report a step of an answer."""

    draft: Draft
    seconds: float  # since the request was handed to the engine


@dataclass
class Totals:
    """Count what the service did since it was made."""

    answers: int = 0
    calls: int = 0  # of functions of the model: audits, infills
    refused: int = 0  # for want of a place
    late: int = 0
    gone: int = 0  # given up by the client
    failed: int = 0  # by a request's or the server's fault
    prompt_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0  # written
    steps: int = 0
    seconds: float = 0.0  # of the answers, from the opened picture to the text


@dataclass(kw_only=True, eq=False)
class Held:
    """Hold one model and its engine."""

    name: str
    model: Model
    engine: Engine
    places: int = 0  # in use: answers that are written or wait
    totals: Totals = field(default_factory=Totals)


@dataclass(kw_only=True, eq=False)
class Place:
    """Hold places of the queue for one request, until it is released."""

    held: Held
    count: int  # of those that are not free again
    start: float = field(default_factory=time.monotonic)


class Service:
    """Answer requests with one or more models.

    Args:
        models: By the names that requests call them; the first is the one that is meant where none is named.
        settings: Sizes of the queue and of memory, and times.
    """

    def __init__(self, models: Mapping[str, Model], settings: Settings) -> None:
        self.settings = settings
        self.held = {name: _hold(name, model, settings) for name, model in models.items()}
        self.closing = False
        self.finished: list[Callable[[Reply, float], None]] = []  # called with an answer and the seconds it waited
        self._interval = 0.0  # seconds between two answers that are finished, estimated
        self._idle = asyncio.Event()
        self._idle.set()
        self._prepare = ThreadPoolExecutor(_PREPARING, thread_name_prefix="lavida-prepare")
        self._tickets: set[Future[Any]] = set()

    def start(self) -> None:
        """Start the engines."""
        for held in self.held.values():
            held.engine.start()

    @property
    def ready(self) -> bool:
        """Return whether a request would be taken."""
        return not self.closing

    @property
    def places(self) -> int:
        """Return how many answers are written or wait."""
        return sum(held.places for held in self.held.values())

    def find(self, name: str | None) -> Held:
        """Return the model of this name, the first for None. Raises UnknownModelError."""
        if name is None:
            return next(iter(self.held.values()))
        if name not in self.held:
            raise UnknownModelError(
                f"there is no model {name[:80]!r} here; choose one of {', '.join(self.held)}", param="model"
            )
        return self.held[name]

    @asynccontextmanager
    async def place(self, name: str | None, count: int = 1) -> AsyncIterator[Place]:
        """Hold so many places of the queue.

        Raises:
            BusyError: So many are not free.
            ClosingError: The service is about to stop.
            UnknownModelError: There is no such model.
        """
        held = self.find(name)
        if self.closing:
            raise ClosingError("the server is about to stop; ask another one")
        if held.places + count > self.settings.active + self.settings.waiting:
            held.totals.refused += 1
            raise BusyError(f"{held.places} answers are waited for already; come again later", after=self._after(held))
        held.places += count
        self._idle.clear()
        taken = Place(held=held, count=count)
        try:
            yield taken
        finally:
            self._release(taken, taken.count)

    def _release(self, place: Place, count: int) -> None:
        """Free so many places, if as many are not free yet."""
        for _ in range(min(count, place.count)):
            interval = (time.monotonic() - place.start) / place.held.places
            self._interval += (interval - self._interval) * (0.1 if self._interval else 1.0)
            place.count -= 1
            place.held.places -= 1
        if not self.places:
            self._idle.set()

    async def answer(
        self,
        name: str | None,
        turns: Sequence[Turn],
        options: Mapping[str, Any],
        *,
        deadline: float | None = None,
        stop: Sequence[str] = (),
        place: Place | None = None,
    ) -> Reply:
        """Answer the last turn of a dialogue.

        Args:
            name: Of the model; None is the first.
            turns: As `read_messages` returns them, pictures opened.
            options: As of `Model.ask`.
            deadline: Seconds from now, or from when the place was taken.
            stop: Texts at the first of which the answer is cut off.
            place: Of the queue; None takes one.

        Raises:
            RequestError: An option is wrong; as in `make_request`.
            BusyError: The queue is full.
            DeadlineError: The answer was not finished in time.
        """
        last: Reply | None = None
        stream = self.stream(name, turns, options, deadline=deadline, stop=stop, place=place, drafts=False)
        async with aclosing(stream) as events:
            async for event in events:
                last = event if isinstance(event, Reply) else last
        assert last is not None, "a stream ends with its reply"
        return last

    async def stream(
        self,
        name: str | None,
        turns: Sequence[Turn],
        options: Mapping[str, Any],
        *,
        deadline: float | None = None,
        stop: Sequence[str] = (),
        place: Place | None = None,
        drafts: bool = True,
    ) -> AsyncGenerator[Queued | Written | Reply, None]:
        """Yield what becomes of an answer: places in the queue, each step, and the reply.

        Arguments and errors as in `answer`. Who stops reading gives the answer up. While nothing happens, `Queued`
        comes every so many seconds (`Settings.keepalive`). Where the reader falls far behind, steps are left out.
        """
        if place is None:
            async with self.place(name) as place:
                own = self.stream(name, turns, options, deadline=deadline, stop=stop, place=place, drafts=drafts)
                async with aclosing(own) as events:
                    async for event in events:
                        yield event
            return
        held, end = place.held, place.start + self._seconds(deadline)
        steps: deque[tuple[Step, float]] = deque(maxlen=_BUFFER if drafts else 1)
        woken = asyncio.Event()
        wake = _from_thread(woken.set)
        request = await self._request(held, turns, options, end)
        request.job.watch = _watch(request, stop, steps, wake)
        ticket = held.engine.enter(request)
        freed = _from_thread(lambda: self._release(place, 1))  # though the client may still be reading
        ticket.add_done_callback(lambda _: (wake(), freed()))
        self._tickets.add(ticket)
        try:
            if drafts:
                yield Queued(request=request, ahead=held.engine.ahead(ticket))
            while not ticket.done() or (drafts and steps):
                woken.clear()
                while drafts and steps:
                    step, seconds = steps.popleft()
                    yield Written(draft=request.draft(step), seconds=seconds)
                if not ticket.done() and not await _woken(woken, min(end - time.monotonic(), self.settings.keepalive)):
                    self._check_time(held, end)
                    yield Queued(request=request, ahead=held.engine.ahead(ticket))
            yield self._reply(held, ticket, stop)
        finally:
            self._tickets.discard(ticket)
            if not ticket.done():
                held.totals.gone += 1
            ticket.cancel()
            request.job.watch = None  # it holds the request, whose keys and values would wait for the garbage collector

    async def call(
        self,
        name: str | None,
        function: Callable[[Model], T],
        *,
        deadline: float | None = None,
        place: Place | None = None,
    ) -> T:
        """Return the result of a function of the model, called on the engine's thread between two forward passes.

        Arguments and errors as in `answer`. Who stops waiting ends it before its next pass.
        """
        if place is None:
            async with self.place(name) as place:
                return await self.call(name, function, deadline=deadline, place=place)
        held, end = place.held, place.start + self._seconds(deadline)
        future = held.engine.call(function)
        self._tickets.add(future)
        try:
            found = await asyncio.wait_for(asyncio.wrap_future(future), max(0.0, end - time.monotonic()))
        except TimeoutError:
            if future.done() and not future.cancelled():  # its own
                raise
            self._check_time(held, min(end, time.monotonic()))
            raise
        except GivenUpError:
            raise ClosingError("the server stopped before the answer was finished; ask another one") from None
        finally:
            self._tickets.discard(future)
            future.cancel()
        held.totals.calls += 1
        return found

    async def drain(self, seconds: float) -> bool:
        """Take nothing new and wait until all that was begun is finished; return whether it is."""
        self.closing = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        return self._idle.is_set()

    async def close(self) -> None:
        """Give up what is not finished and stop the engines."""
        self.closing = True
        for ticket in list(self._tickets):
            ticket.cancel()
        for held in self.held.values():
            await asyncio.to_thread(held.engine.close, finish=False)
        self._prepare.shutdown(wait=False, cancel_futures=True)

    async def _request(self, held: Held, turns: Sequence[Turn], options: Mapping[str, Any], end: float) -> Request:
        """Check a request in a thread: a schema may take a while to compile."""
        model = held.model
        making = asyncio.get_running_loop().run_in_executor(
            self._prepare, lambda: make_request(model.reader, turns, options, folder=model.folder)
        )
        try:
            request = await asyncio.wait_for(making, max(0.0, end - time.monotonic()))
        except TimeoutError:
            self._check_time(held, min(end, time.monotonic()))
            raise
        if request.tokens * bytes_per_token(model) > self.settings.memory:
            raise RequestError(
                f"prompt and answer may take {request.tokens} tokens, more than this server has memory for; shorten one"
            )
        return request

    def _reply(self, held: Held, ticket: Ticket, stop: Sequence[str]) -> Reply:
        if ticket.cancelled():
            raise ClosingError("the server stopped before the answer was finished; ask another one")
        try:
            reply = Reply.of(ticket.request, ticket.result(0), stop)
        except BaseException:
            held.totals.failed += 1
            raise
        totals, usage = held.totals, reply.usage
        totals.answers += 1
        totals.prompt_tokens += usage.prompt
        totals.image_tokens += usage.image
        totals.cached_tokens += usage.cached
        totals.tokens += usage.completion
        totals.steps += usage.steps or 0
        totals.seconds += usage.seconds
        for tell in self.finished:
            tell(reply, ticket.waited)
        return reply

    def _seconds(self, deadline: float | None) -> float:
        longest = self.settings.timeout
        if deadline is not None and not 0 < deadline <= longest:
            raise FieldError(f"timeout must be above 0 and at most {longest:g} seconds here", param="timeout")
        return longest if deadline is None else deadline

    def _check_time(self, held: Held, end: float) -> None:
        if time.monotonic() >= end:
            held.totals.late += 1
            raise DeadlineError("the answer was not finished in time; allow more seconds, or ask for fewer steps")

    def _after(self, held: Held) -> int:
        """Estimate the seconds until as many places are free as may wait, at the pace of the last answers."""
        return min(_LONGEST_RETRY, max(1, math.ceil(self._interval * (held.places - self.settings.active))))


def _hold(name: str, model: Model, settings: Settings) -> Held:
    tokens = settings.memory // bytes_per_token(model)
    return Held(name=name, model=model, engine=Engine(model, most=settings.active, tokens=tokens))


def _watch(
    request: Request, stop: Sequence[str], steps: deque[tuple[Step, float]], wake: Callable[[], None]
) -> Callable[[Step], None]:
    certain, start = CertainText(request, stop), time.perf_counter()

    def watch(step: Step) -> None:
        request.job.enough = certain.stops(step)
        steps.append((step, time.perf_counter() - start))
        wake()

    return watch


def _from_thread(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls `function` on the running loop, from any thread; nothing once the loop is closed."""
    loop = asyncio.get_running_loop()

    def call() -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function)

    return call


async def _woken(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), max(0.0, seconds))
    except TimeoutError:
        return False
    return True
