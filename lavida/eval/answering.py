"""Answer the questions of a benchmark with one of our models, side by side through the engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image

from lavida.api import Model
from lavida.engine import Engine, Ticket
from lavida.errors import LavidaError, RequestError
from lavida.eval.items import Item, Task


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Hold a model's answer to a question and its cost."""

    index: int
    text: str | None = None
    steps: int = 0  # forward passes
    tokens: int = 0  # of the text, the end token included
    seconds: float = 0.0
    probabilities: tuple[float, ...] = ()  # of the answers that were compared
    confidence: float | None = None  # that the answer is right: of a model with a curve, or the likeliest's probability
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Way:
    """Say how questions are put and answers taken."""

    by_likelihood: bool = False  # compare the likelihoods of the answers instead of writing one
    suffix: str = ""  # follows each question
    until: tuple[str, ...] = ()  # texts before which an answer is cut
    strip_stop: bool = False  # drop one full stop at its end

    def settings(self) -> dict[str, Any]:
        """Return what of it decides the answers, as JSON has it."""
        by = "likelihood" if self.by_likelihood else "generation"
        return {"by": by, "suffix": self.suffix, "until": list(self.until), "strip_stop": self.strip_stop}

    def taken(self, text: str) -> str:
        """Return what counts of a text that was written."""
        places = [place for place in map(text.find, self.until) if place >= 0]
        text = text[: min(places)] if places else text
        return text.removesuffix(".") if self.strip_stop else text


class Answerer(Protocol):
    """Answer questions in any order, each once. It is made without its weights."""

    name: str

    def settings(self) -> Mapping[str, Any]:
        """Return what decides the answers, as JSON has it."""

    def load(self) -> None:
        """Load the model. Raises LavidaError."""

    def replies(self, asked: Iterable[tuple[int, Item]]) -> Iterator[Reply]:
        """Yield a reply to each question; what is wrong with one question is in its reply."""

    def warm_up(self, item: Item) -> None:
        """Answer a question and keep nothing of it."""


def messages_of(item: Item, pictures: list[Image.Image], suffix: str = "") -> list[dict[str, Any]]:
    """Return a question as a dialogue, its pictures first."""
    parts: list[dict[str, Any]] = [{"type": "image", "image": picture} for picture in pictures]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": item.prompt + suffix}]}]


def likeliest(index: int, item: Item, probabilities: Iterable[float], **cost: Any) -> Reply:
    """Return the reply of the likeliest of an item's answers."""
    found = tuple(probabilities)
    best = max(range(len(found)), key=found.__getitem__)
    return Reply(index=index, text=item.answers[best], probabilities=found, confidence=found[best], **cost)


class LavidaAnswerer:
    """Answer with a model of ours.

    Args:
        name: Of the model.
        loader: Loads it.
        identity: A digest of its files.
        task: Gives the length of an answer and its form.
        options: Of decoding; they go before the task's.
        way: How questions are put and answers taken.
        most: Answers that are written side by side.
    """

    def __init__(
        self,
        name: str,
        loader: Callable[[], Model],
        identity: str,
        task: Task,
        options: Mapping[str, Any],
        *,
        way: Way | None = None,
        most: int = 1,
    ) -> None:
        self.name, self._loader, self._identity, self._task = name, loader, identity, task
        given = {name: value for name, value in options.items() if value is not None}
        self._options = {"length": task.length, **task.options, **given}
        self._way, self._most = way or Way(), most

    def settings(self) -> Mapping[str, Any]:
        """Return the digest of the model, the options and how answers are found."""
        shown = {name: str(value) if isinstance(value, Mapping) else value for name, value in self._options.items()}
        return {"the model": self._identity, **self._way.settings(), **shown}

    def load(self) -> None:
        """Load the model. Raises LavidaError."""
        self._model = self._loader()

    def replies(self, asked: Iterable[tuple[int, Item]]) -> Iterator[Reply]:
        """Yield a reply to each question, in their order; those of a few are written together."""
        if self._way.by_likelihood:
            yield from (self._compared(index, item) for index, item in asked)
            return
        engine = Engine(self._model, most=self._most)
        waiting: deque[tuple[int, Ticket | str]] = deque()
        for index, item in asked:
            waiting.append((index, self._submit(engine, item)))
            if len(waiting) >= 2 * self._most or self._most == 1:
                yield self._finished(*waiting.popleft())
        while waiting:
            yield self._finished(*waiting.popleft())

    def warm_up(self, item: Item) -> None:
        """Answer a question and keep nothing of it, not even the encoded picture."""
        for _ in self.replies([(0, item)]):
            pass
        self._model.forget()

    def _submit(self, engine: Engine, item: Item) -> Ticket | str:
        """Return a ticket, or why there is none."""
        form = self._task.form(item) if self._task.form is not None else {}
        try:
            return engine.submit_chat(messages_of(item, item.open(), self._way.suffix), **{**self._options, **form})
        except LavidaError as error:
            return _line(error)

    def _finished(self, index: int, ticket: Ticket | str) -> Reply:
        if isinstance(ticket, str):
            return Reply(index=index, error=ticket)
        try:
            answer = ticket.result()
        except torch.OutOfMemoryError:
            raise RequestError("memory ran out; run the same command with a smaller --most, it goes on") from None
        except LavidaError as error:
            return Reply(index=index, error=_line(error))
        tokens = round(answer.tokens_per_forward * answer.steps)
        seconds = answer.seconds - ticket.waited
        return Reply(
            index=index, text=self._way.taken(answer.text), steps=answer.steps, tokens=tokens, seconds=seconds,
            confidence=answer.confidence,
        )  # fmt: skip

    def _compared(self, index: int, item: Item) -> Reply:
        try:
            choice = self._model.choose(item.open() or None, item.prompt + self._way.suffix, item.answers)
        except LavidaError as error:
            return Reply(index=index, error=_line(error))
        passes = sum(one.passes for one in choice.likelihoods)
        return likeliest(index, item, choice.probabilities, steps=passes)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
