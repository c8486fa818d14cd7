"""Many questions at once: a request enters at any step, shares its passes with whoever is there, and leaves.

Every answer is a coroutine that asks for one pass after the other (`decode.answer.answering`); it is the same one that
is driven alone by `Model.ask`. A turn of the engine makes the passes that are asked for, as few companies as possible,
so the answers are those of `Model.ask`, token for token: rows that would not come out the same to the bit are left
alone (`engine.steady`), attention, scores and random numbers are each request's own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lavida.api import Answer, Asked, Draft, Model, Shown, name_of
from lavida.decode.batch_invariance import steady_block, steady_head
from lavida.decode.loop import Step
from lavida.engine.ticket import Ticket
from lavida.errors import RequestError
from lavida.model.passes import Pass, Reading

_LOGITS = 1 << 25  # logits of one reading: 128 MB in float32


@dataclass(kw_only=True)
class _Active:
    """A request that is being answered."""

    ticket: Ticket
    wanted: Pass | Reading | None = None  # what it waits for
    last: Step | None = None


_Ended = list[tuple[_Active, Exception | None]]  # those that have no more steps, and what they failed with


class Engine:
    """Answers questions about pictures with one model, `most` of them at a time, `rows` of them in one pass.

    With `exact` False passes are shared whether or not rows come out the same to the bit: an answer may then differ
    from that of `Model.ask` where two tokens are equally likely. Requests may come from any thread; whoever waits for
    an answer, or calls `run`, makes the passes.
    """

    def __init__(self, model: Model, *, most: int = 32, rows: int = 512, exact: bool = True) -> None:
        if most < 1 or rows < 1:
            raise RequestError(f"an engine answers at least one request of one row at a time, got {most} and {rows}")
        self.model, self.most, self.rows = model, most, rows
        denoiser = model.net.denoiser
        self._rows = max(1, _LOGITS // denoiser.config.vocab_size)  # that are read at once
        self._steady = (steady_block(denoiser), steady_head(denoiser)) if exact else (_always, _always)
        self._waiting: deque[Ticket] = deque()
        self._active: list[_Active] = []
        self._lock = threading.RLock()

    def submit(self, image: Shown, question: str, **options: Any) -> Ticket:
        """A future of the answer; arguments as in `Model.ask`, whose errors are raised at once."""
        ticket = self._ticket(image, question, options)
        self._waiting.append(ticket)
        return ticket

    def stream(self, image: Shown, question: str, **options: Any) -> Iterator[Draft]:
        """The drafts of an answer that shares its passes; arguments and errors as in `Model.stream`."""
        ticket = self._ticket(image, question, options)
        ticket.steps = deque()
        self._waiting.append(ticket)
        return self._drafts(ticket)

    def run(self) -> None:
        """Answer everything that has been submitted, and what is submitted meanwhile."""
        while self.turn():
            pass

    def turn(self) -> bool:
        """Make the passes that are asked for now, one for each request; whether there is more to do."""
        ended: _Ended = []
        with self._lock, torch.inference_mode():
            self._admit(ended)
            passes = [one for one in self._active if isinstance(one.wanted, Pass)]
            counts = [one.wanted.x.shape[1] for one in passes]
            for company in companies(counts, self._steady[0], self.rows):
                self._serve([passes[i] for i in company], self._pass, ended)
            readings = [one for one in self._active if isinstance(one.wanted, Reading)]
            counts = [len(one.wanted.hidden) for one in readings]
            for company in companies(counts, self._steady[1], self._rows):
                self._serve([readings[i] for i in company], self._read, ended)
            self._active = [one for one in self._active if one.wanted is not None]
            more = bool(self._active or self._waiting)
        for one, error in ended:  # not before the lock is free: whoever is told may ask something else
            one.ticket.settle(one.last, error)
        return more

    def _ticket(self, image: Shown, question: str, options: dict[str, Any]) -> Ticket:
        asked = self.model.asked(image, question, **options)
        return Ticket(asked, self.turn, partial(self._answer, asked, image, question))

    def _answer(self, asked: Asked, image: Shown, question: str, last: Step, seconds: float) -> Answer:
        draft = self.model.draft(last, asked)
        return self.model.answer(draft, image=name_of(image), question=question, seconds=seconds)

    def _drafts(self, ticket: Ticket) -> Iterator[Draft]:
        try:
            while ticket.steps or not ticket.done():
                while ticket.steps:
                    yield self.model.draft(ticket.steps.popleft(), ticket.asked)
                if not ticket.done():
                    self.turn()
            ticket.result()
        finally:
            ticket.cancel()

    def _admit(self, ended: _Ended) -> None:
        for one in self._active:
            if one.ticket.cancelled():
                one.ticket.asked.answering.close()
                one.wanted = None
        self._active = [one for one in self._active if one.wanted is not None]
        while self._waiting and len(self._active) < self.most:
            one = _Active(ticket=self._waiting.popleft())
            if not one.ticket.cancelled():
                self._advance(one, None, ended)
            if one.wanted is not None:
                self._active.append(one)

    def _pass(self, wanted: list[Pass]) -> list[Tensor]:
        filler = _filler([one.x[0] for one in wanted])
        passes = [*wanted, Pass(x=filler[None])] if len(filler) else wanted
        return self.model.net.denoiser.together(passes)[: len(wanted)]

    def _read(self, wanted: list[Reading]) -> list[Tensor | None]:
        if len(wanted) == 1:
            return [None]
        rows = [one.hidden for one in wanted]
        filler = _filler(rows)
        logits = self.model.net.denoiser.head(torch.cat([*rows, filler]))
        return list(logits.split([*map(len, rows), len(filler)])[: len(rows)])

    def _serve(self, members: list[_Active], compute: Callable[[list], list], ended: _Ended) -> None:
        try:
            results = compute([one.wanted for one in members])
        except Exception as error:  # for want of memory, say: those who wait elsewhere go on
            for one in members:
                one.wanted = None
                ended.append((one, error))
            return
        for one, result in zip(members, results, strict=True):
            self._advance(one, result, ended)

    def _advance(self, one: _Active, result: Tensor | None, ended: _Ended) -> None:
        """Send what was asked for and take the steps that follow, up to the next question or the end."""
        answering, one.wanted = one.ticket.asked.answering, None
        try:
            event = answering.send(result)
            while isinstance(event, Step):
                one.last = event
                if one.ticket.steps is not None:
                    one.ticket.steps.append(event)
                event = next(answering)
            one.wanted = event
        except StopIteration:
            ended.append((one, None))
        except Exception as error:
            ended.append((one, error))


def companies(counts: Sequence[int], steady: Callable[[int], bool], most: int) -> list[list[int]]:
    """Which of several numbers of rows go together, as indices in the order of their coming; at most `most` rows."""
    found: list[list[int]] = []
    held = most
    for i in sorted(range(len(counts)), key=lambda i: not steady(counts[i])):  # the others come last, each alone
        if not steady(counts[i]) or held + counts[i] > most or not steady(rounded(held + counts[i])):
            found.append([])
            held = 0
        found[-1].append(i)
        held += counts[i]
    return found


def rounded(count: int) -> int:
    """The number of rows that a company of so many is filled up to: few numbers occur, and each is measured once."""
    unit = 8 if count <= 64 else 32 if count <= 256 else 64
    return -(-count // unit) * unit


def _filler(members: list[Tensor]) -> Tensor:
    """Rows [f, D] of zeros that fill up the members [n_i, D] of a company; one alone is left as it is."""
    count = sum(map(len, members))
    return members[0].new_zeros(rounded(count) - count if len(members) > 1 else 0, members[0].shape[1])


def _always(count: int) -> bool:
    return True
