"""Read a model's own answers: a data set with the answers replaced, each with the trajectory of its decoding.

The file is JSON lines. The first line says how the answers were written; each other one is

    {"source": 0, "index": 5, "turn": 1, "question": "...", "answer": "...", "right": true, "canvas": [...],
     "steps": [...]}

`source` and `index` name an entry of the data, `turn` the turn of its dialogue that is answered, `right` whether the
answer has the words of the data's own. An entry or a turn that could not be answered has `left_out`, the reason.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lavida.data.samples import Sample, Trajectory
from lavida.data.sources import Source
from lavida.errors import DataError
from lavida.text.messages import Part, Turn

OWN_ANSWERS = "own-answers.jsonl"


class OwnAnswers:
    """Hold the file of a run's own answers: append lines, and read what is there. A torn last line is cut off.

    Raises:
        DataError: The file is no file of own answers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head: dict[str, Any] | None = None
        self.lines: list[dict[str, Any]] = []
        self._size = 0  # bytes of whole lines
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            if not all(isinstance(line, dict) for line in lines):
                raise ValueError("a line is no object")
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path} is damaged ({reason}); delete it to have the questions answered again") from None
        if lines:
            self.head, *self.lines = lines
        self._size = len(whole)

    def append(self, lines: list[dict[str, Any]]) -> None:
        """Write lines behind what is there, and wait until they are on disk; the first one ever becomes the head."""
        written = b"".join(map(_line, lines))
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.truncate(self._size)
            file.seek(self._size)
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        self._size += len(written)
        if self.head is None:
            self.head, *lines = lines
        self.lines += lines

    def of(self, source: Source, number: int, *, only_right: bool) -> OwnSource:
        """Return the answers to the questions of one source.

        Args:
            source: The data.
            number: Of the source among those of the run.
            only_right: Leave out answers of other words than the data's.

        Raises:
            DataError: No answer is left.
        """
        assert self.head is not None, "the file was written"
        mine = [line for line in self.lines if line["source"] == number]
        answered = [line for line in mine if "left_out" not in line]
        kept = [line for line in answered if line["right"] or not only_right]
        if not kept:
            right = ", none of them with the data's words" if answered and only_right else ""
            raise DataError(f"{source.name}: the model answers {len(answered)} of its {len(mine)} questions{right}")
        return OwnSource(source, kept, block=self.head["block"])


class OwnSource:
    """Give the entries of a source with a model's own answers, each answered turn as a sample of its own."""

    def __init__(self, source: Source, lines: Sequence[Mapping[str, Any]], *, block: int | None) -> None:
        self.name = source.name
        self._source, self._lines, self._block = source, lines, block

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Sample:
        line = self._lines[index]
        sample = self._source[line["index"]]
        answer = Turn(role="assistant", parts=(Part(kind="text", value=line["answer"]),))
        trajectory = Trajectory(canvas=tuple(line["canvas"]), steps=tuple(line["steps"]), block=self._block)
        return replace(sample, turns=(*sample.turns[: line["turn"]], answer), trajectory=trajectory)

    def size_of(self, index: int) -> int:
        """Return about how many letters long a sample is."""
        return self._source.size_of(self._lines[index]["index"])

    def stamp(self) -> str:
        """Return a short mark of the data and the answers."""
        return f"{self._source.stamp()}/{zlib.crc32(b''.join(map(_line, self._lines))):08x}"


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
