"""The engine: many questions at once; each enters at any step, shares its forward passes with the others, and leaves.

with lavida.Engine(model) as engine:
    tickets = [engine.submit(photo, "What is this?") for photo in photos]
    print([ticket.result().text for ticket in tickets])

The answers are those of `Model.ask`, token for token (`decode.driver`).
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import torch

from lavida.api import Model
from lavida.cache.store import BUDGET
from lavida.decode.driver import Driver
from lavida.decode.loop import Step
from lavida.decode.pause import pausing
from lavida.decode.request import Answer, Draft, Request, Shown, make_request, turns_of
from lavida.errors import LavidaError, RequestError
from lavida.text.messages import Turn, read_messages

if TYPE_CHECKING:
    from lavida.decode.options import AskOptions

T = TypeVar("T")

AT_ONCE = 8  # answers of a list that share forward passes, if their keys fit into memory


class Ticket(Future[Answer]):
    """Stand for an answer that is being written; it may be cancelled at any step.

    Without a thread of the engine, a caller that waits for a ticket makes the forward passes meanwhile.
    """

    def __init__(self, request: Request, wait: Callable[[Ticket, float | None], None]) -> None:
        super().__init__()
        self.request = request
        self.waited = 0.0  # seconds until it found its place
        self._wait = wait
        self._start = time.perf_counter()

    def result(self, timeout: float | None = None) -> Answer:
        """Return the answer; what it failed with is raised, TimeoutError after so many seconds."""
        self._wait(self, timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the answer failed with, if it did."""
        self._wait(self, timeout)
        return super().exception(0)

    def cancel(self) -> bool:
        """Give the answer up; its place is free at the next step."""
        self.request.job.cancelled = True
        return super().cancel()

    def begin(self) -> None:
        """Note that the answer found its place."""
        self.waited = time.perf_counter() - self._start

    def settle(self, error: BaseException | None = None) -> None:
        """Set the finished answer, or what it failed with. Nothing is set on a cancelled ticket."""
        answer = None
        if error is None:
            try:
                self.request.verify()
                answer = self.request.answer(time.perf_counter() - self._start)
            except Exception as failure:
                error = failure
        with suppress(InvalidStateError):
            if answer is not None:
                self.set_result(answer)
            else:
                self.set_exception(error)


class GivenUpError(LavidaError):
    """Report a result that nobody waits for any more."""


class Call(Future[T]):
    """Stand for the result of a function of the model; when it is given up, it ends before the next forward pass."""

    def __init__(self, function: Callable[[Model], T]) -> None:
        super().__init__()
        self.function = function
        self.given_up = False

    def cancel(self) -> bool:
        """Give the result up."""
        self.given_up = True
        return super().cancel()

    def run(self, model: Model, between: Callable[[], None]) -> None:
        """Call the function, and `between` its forward passes."""
        if not self.set_running_or_notify_cancel():
            return

        def pause() -> None:
            if self.given_up:
                raise GivenUpError("this was given up before it was finished; ask again")
            between()

        try:
            with pausing(pause):
                self.set_result(self.function(model))
        except BaseException as error:
            self.set_exception(error)


class Engine:
    """Answer questions about pictures with one model.

    Requests may come from any thread. After `start`, or in a `with` block, a thread of the engine makes the forward
    passes; otherwise the caller that waits for an answer, or calls `run`, does.

    Args:
        model: Answers; use it for nothing else meanwhile.
        most: Answers that are written side by side.
        rows: Rows of one shared forward pass.
        exact: Share a pass only where every row comes out as it would alone, to the bit. With False an answer may
            differ from that of `Model.ask` where two tokens are equally likely.
        tokens: Tokens, prompts included, of the answers that are written side by side; one alone may have more.

    Raises:
        RequestError: `most` or `rows` is below 1.
    """

    def __init__(
        self, model: Model, *, most: int = 32, rows: int = 512, exact: bool = True, tokens: float = math.inf
    ) -> None:
        if most < 1 or rows < 1:
            raise RequestError(f"an engine answers at least one request of one row at a time, got {most} and {rows}")
        self.model, self.most, self.tokens = model, most, tokens
        self._driver = Driver(model.net, rows=rows, exact=exact)
        self._waiting: deque[Ticket] = deque()
        self._active: dict[int, Ticket] = {}  # by the id of the job
        self._calls: deque[Call[Any]] = deque()
        self._calling: Call[Any] | None = None  # the one that has begun
        self._lock = threading.RLock()  # of the driver
        self._changed = threading.Condition()  # a request came, a step was made, or the engine was closed
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, image: Shown, question: str, **options: Unpack[AskOptions]) -> Ticket:
        """Return a ticket for an answer; arguments as in `Model.ask`, whose errors are raised at once."""
        return self._enter(turns_of(image, question), options, None)

    def submit_chat(self, messages: Sequence[Mapping[str, Any]], **options: Unpack[AskOptions]) -> Ticket:
        """Return a ticket for the answer to a dialogue; arguments and errors as in `Model.chat`."""
        return self._enter(read_messages(messages), options, None)

    def stream(self, image: Shown, question: str, **options: Unpack[AskOptions]) -> Iterator[Draft]:
        """Return the drafts of an answer that shares its passes; arguments and errors as in `Model.stream`."""
        steps: deque[Step] = deque()
        return self._drafts(self._enter(turns_of(image, question), options, steps), steps)

    def enter(self, request: Request) -> Ticket:
        """Return a ticket for a request that `make_request` made for this engine's model."""
        ticket = Ticket(request, self._wait)
        with self._changed:
            self._require_open()
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def call(self, function: Callable[[Model], T]) -> Call[T]:
        """Return the future result of a function of the model, which is called between two forward passes.

        For what is no answer: an audit, an infill. The answers on their way advance by a step between two of its passes
        (`decode.pause`).
        """
        call = Call(function)
        with self._changed:
            self._require_open()
            self._calls.append(call)
            self._changed.notify_all()
        return call

    def ahead(self, ticket: Ticket) -> int:
        """Return how many answers must find a place before this one may; 0 for one that is being written."""
        waiting = tuple(self._waiting)
        return waiting.index(ticket) if ticket in waiting else 0

    @property
    def active(self) -> int:
        """Return how many answers are being written."""
        return len(self._active)

    @property
    def waiting(self) -> int:
        """Return how many answers and calls wait."""
        return len(self._waiting) + len(self._calls)

    def run(self) -> None:
        """Answer everything that was submitted, and what is submitted meanwhile."""
        while self.turn():
            pass

    def turn(self) -> bool:
        """Advance each answer by one forward pass; return whether there is more to do."""
        self._round()
        with self._lock, torch.inference_mode():
            if self._calls and self._calling is None:
                self._calling = self._calls.popleft()
                self._calling.run(self.model, self._round)
                self._calling = None
            more = self._busy
        with self._changed:
            self._changed.notify_all()
        return more

    def _round(self) -> None:
        with self._lock, torch.inference_mode():
            self._admit()
            done = [self._active.pop(id(job)) for job in self._driver.round()]
        for ticket in done:  # not before the lock is free: a callback may ask something else
            ticket.settle(ticket.request.job.error)
        with self._changed:
            self._changed.notify_all()

    def start(self) -> Self:
        """Start the engine's thread."""
        with self._changed:
            self._require_open()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lavida-engine", daemon=True)
                self._thread.start()
        return self

    def close(self, *, finish: bool = True) -> None:
        """Stop the engine's thread and take no more requests; with `finish`, answer first what was submitted."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if not finish:
            for future in [*self._waiting, *self._active.values(), *self._calls, *filter(None, [self._calling])]:
                future.cancel()
        if self._thread is not None:
            self._thread.join()
        else:
            self.run()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.close(finish=kind is None)

    def _enter(self, turns: Sequence[Turn], options: Mapping[str, Any], steps: deque[Step] | None) -> Ticket:
        watch = None if steps is None else steps.append
        model = self.model
        return self.enter(make_request(model.reader, turns, options, folder=model.folder, watch=watch))

    def _require_open(self) -> None:
        if self._closed:
            raise RequestError("the engine was closed; make another one")

    @property
    def _busy(self) -> bool:
        return bool(self._waiting or self._active or self._calls)

    def _admit(self) -> None:
        held = sum(ticket.request.tokens for ticket in self._active.values())
        while self._waiting and len(self._active) < self.most:
            tokens = self._waiting[0].request.tokens
            if self._active and held + tokens > self.tokens:  # in the order in which they came: none waits for ever
                break
            ticket = self._waiting.popleft()
            if not ticket.cancelled():
                held += tokens
                ticket.begin()
                self._active[id(ticket.request.job)] = ticket
                self._driver.jobs.append(ticket.request.job)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._busy or self._closed):
                    self._changed.wait()
                if self._closed and not self._busy:
                    return
            try:
                self.turn()
            except BaseException as error:  # nothing else would tell those who wait
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            failed = [*self._active.values()]
            self._active.clear()
            self._driver.jobs.clear()
        for ticket in failed:
            ticket.settle(error)

    def _wait(self, ticket: Ticket, timeout: float | None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        while not ticket.done():
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"no answer within {timeout} seconds")
            self._progress(ticket, end)

    def _progress(self, ticket: Ticket, end: float | None = None) -> None:
        """Make one turn, or wait for the engine's thread to make one."""
        if self._thread is None or threading.current_thread() is self._thread:
            self.turn()
            return
        with self._changed:
            if not ticket.done():
                self._changed.wait(None if end is None else max(0.0, end - time.monotonic()))

    def _drafts(self, ticket: Ticket, steps: deque[Step]) -> Iterator[Draft]:
        try:
            while steps or not ticket.done():
                while steps:
                    yield ticket.request.draft(steps.popleft())
                if not ticket.done():
                    self._progress(ticket)
            ticket.result()
        finally:
            ticket.cancel()


def bytes_per_token(model: Model) -> int:
    """Return the bytes of a token's keys and values in all layers."""
    denoiser = model.net.config.denoiser
    return 2 * denoiser.n_layers * denoiser.n_kv_heads * denoiser.head_dim * model.net.denoiser.dtype.itemsize


def answers_at_once(model: Model) -> int:
    """Return how many answers of a list share forward passes: fewer than AT_ONCE where memory is short."""
    longest = bytes_per_token(model) * model.net.config.denoiser.max_length
    return max(1, min(AT_ONCE, BUDGET // longest))
