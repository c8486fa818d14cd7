"""Answer inputs through the engine: pictures opened ahead by threads, lines as they finish."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import torch
from PIL import Image

from lavida.batch.entries import Entry
from lavida.config import VLMConfig
from lavida.decode.request import Answer, open_picture
from lavida.engine import Engine, Ticket
from lavida.errors import LavidaError, RequestError

READERS = 2  # threads that open pictures
_MOST_FAULTS = 16  # in a row; by then it is the device, or the machine
_MOST_PIXELS = 200_000_000  # of pictures that are open at a time; three bytes each

Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """Hold an input whose pictures are open."""

    entry: Entry
    messages: list[dict[str, Any]]
    pixels: int


def answer_entries(
    engine: Engine, entries: Iterable[Entry], options: Mapping[str, Any], *, readers: int = READERS
) -> Iterator[Line]:
    """Yield a line for each input, in the order in which they are finished.

    Args:
        engine: Started; answers nothing else meanwhile.
        entries: Read as they are needed.
        options: As `Model.ask` takes them; those of an input go before them.
        readers: Threads that open pictures.

    Raises:
        RequestError: Memory ran out.
    """
    with ThreadPoolExecutor(readers, "lavida-reader") as pool:
        flow = _Flow(engine, pool, options, ahead=readers + engine.most)
        try:
            yield from flow.lines(iter(entries))
        finally:
            flow.stop()


class _Flow:
    """Move inputs through reading and answering, a bounded number of them at a time."""

    def __init__(self, engine: Engine, pool: ThreadPoolExecutor, options: Mapping[str, Any], *, ahead: int) -> None:
        self._engine, self._pool, self._options, self._ahead = engine, pool, options, ahead
        self._opening: deque[tuple[Entry, Future[_Opened]]] = deque()
        self._done: SimpleQueue[tuple[_Opened, Ticket]] = SimpleQueue()
        self._asked: dict[int, Ticket] = {}
        self._pixels = 0  # of the inputs that the engine has
        self._faults = 0  # inputs in a row that failed by none of their own
        self._usual = 12_000_000.0  # pixels of an input, as seen so far

    def lines(self, entries: Iterator[Entry]) -> Iterator[Line]:
        """Yield the lines of all inputs."""
        more = True
        while more or self._opening or self._asked:
            if more and self._has_room():
                entry = next(entries, None)
                more = entry is not None
                if entry is not None and entry.error is not None:
                    yield line_of(entry, error=entry.error)
                elif entry is not None:
                    self._open(entry)
            # Twice as many as are written side by side, so that the engine never waits for this thread.
            elif self._opening and len(self._asked) < 2 * self._engine.most:
                if (failed := self._ask(*self._opening.popleft())) is not None:
                    yield failed
            else:
                yield self._finished()

    def _has_room(self) -> bool:
        """Tell whether another input may be opened: by number, and by the pixels that are open or soon will be."""
        opened = [opening.result().pixels for _, opening in self._opening if _is_good(opening)]
        pixels = self._pixels + sum(opened) + (len(self._opening) - len(opened) + 1) * self._usual
        few = len(self._opening) < self._ahead
        return few and (pixels <= _MOST_PIXELS or not (self._opening or self._asked))

    def stop(self) -> None:
        """Give up what was begun."""
        for _, opening in self._opening:
            opening.cancel()
        for ticket in [*self._asked.values()]:
            ticket.cancel()

    def _open(self, entry: Entry) -> None:
        config = self._engine.model.net.config
        official = {**self._options, **entry.options}.get("compat") == "official"
        self._opening.append((entry, self._pool.submit(_open, entry, config, official)))

    def _ask(self, entry: Entry, opening: Future[_Opened]) -> Line | None:
        """Hand an input to the engine; return its line if it is refused."""
        try:
            opened = opening.result()
            ticket = self._engine.submit_chat(opened.messages, **{**self._options, **entry.options})
        except Exception as error:
            return line_of(entry, error=self._reason(error))
        self._asked[entry.index] = ticket
        self._pixels += opened.pixels
        self._usual += (opened.pixels - self._usual) / 8
        ticket.add_done_callback(lambda _: self._done.put((opened, ticket)))
        return None

    def _finished(self) -> Line:
        """Wait for an answer and return its line."""
        opened, ticket = self._done.get()
        self._pixels -= opened.pixels
        entry = opened.entry
        del self._asked[entry.index]
        error = ticket.exception()
        if error is not None:
            return line_of(entry, error=self._reason(error))
        self._faults = 0
        return line_of(entry, ticket.result(), has_object={**self._options, **entry.options}.get("schema") is not None)

    def _reason(self, error: BaseException) -> str:
        """Return why an input has no answer. Raises what is no fault of the input."""
        said = " ".join(str(error).split())
        if isinstance(error, LavidaError):
            return said
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            raise RequestError("memory ran out; run the same command with a smaller --most, it goes on") from None
        if not isinstance(error, Exception):
            raise error
        self._faults += 1
        told = f"failed within lavida, please report it: {type(error).__name__}: {said}"
        if self._faults >= _MOST_FAULTS:
            raise RequestError(f"{_MOST_FAULTS} inputs in a row {told}; --retry asks them again")
        return told


def _is_good(opening: Future[_Opened]) -> bool:
    return opening.done() and opening.exception() is None


def line_of(entry: Entry, answer: Answer | None = None, *, error: str | None = None, has_object: bool = False) -> Line:
    """Return the line of an input: its answer, or why there is none."""
    found = {} if answer is None or not has_object else {"object": json.loads(answer.text)}
    return {
        "index": entry.index,
        "id": entry.id,
        "image": entry.image,
        "question": entry.question,
        "text": None if answer is None else answer.text,
        **found,
        "steps": None if answer is None else answer.steps,
        "tokens_per_forward": None if answer is None else answer.tokens_per_forward,
        "error": error,
    }


def _open(entry: Entry, config: VLMConfig, official: bool) -> _Opened:
    """Open the pictures of an input. Raises ImageError."""
    messages, pixels = [], 0
    for turn in entry.turns:
        content: list[dict[str, Any]] = []
        for part in turn.parts:
            if part.kind == "text":
                content.append({"type": "text", "text": part.value})
                continue
            name = (entry.image or "the picture") if isinstance(part.value, bytes) else str(part.value)
            picture: Image.Image = open_picture(config, part.value, name=name, official=official)
            pixels += picture.width * picture.height
            content.append({"type": "image", "image": picture})
        messages.append({"role": turn.role, "content": content})
    return _Opened(entry=entry, messages=messages, pixels=pixels)
