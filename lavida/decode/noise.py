"""Random numbers in the order in which official code draws them: for the whole canvas, whatever is written already.

An answer of ours draws for its open positions only, from a generator of its own. To give the ids of another program at
a temperature above 0, the same numbers are drawn as there, and those of other positions and answers are left out.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float64).tiny
_FLOOR = 1e-20  # of uniform numbers before a logarithm, as MMaDA's code has it
_AT_ONCE = 1 << 20  # numbers that are drawn together where they are left out


class Noise(Protocol):
    """Supply the random numbers of one answer in place of its own generator."""

    def begin(self) -> None:
        """Begin a step: what is left of the step before is left out."""

    def tokens(self, rows: Tensor, count: int) -> Tensor:
        """Return Gumbel noise [n, count] for the tokens at positions [n] of the canvas, in ascending order."""

    def confidences(self, rows: Tensor) -> Tensor:
        """Return uniform numbers [n] that stand for the confidence."""

    def positions(self, rows: Tensor) -> Tensor | None:
        """Return Gumbel noise [n] by which positions are chosen; None if none is drawn."""


class _Stream:
    """Draw a table [rows, count] from one generator, row by row, and give out some of its rows."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.left = 0  # rows of the table that are not drawn yet
        self._count = self._rows = 0

    def open(self, rows: int, count: int) -> None:
        """Begin a table, unless one is begun."""
        if not self._rows:
            self._rows = self.left = rows
            self._count = count

    def close(self) -> None:
        """Leave the rest of the table out."""
        self._skip(self.left)
        self._rows = 0

    def rows(self, places: Tensor) -> Tensor:
        """Return the rows at ascending places [n] in float64."""
        found = torch.empty(len(places), self._count, dtype=torch.float64)
        for i, place in enumerate(places.tolist()):
            self._skip(place - (self._rows - self.left))
            found[i] = torch.rand(self._count, generator=self.generator, dtype=torch.float64)
            self.left -= 1
        return found

    def _skip(self, rows: int) -> None:
        self.left -= rows
        numbers = rows * self._count
        for start in range(0, numbers, _AT_ONCE):
            torch.rand(min(_AT_ONCE, numbers - start), generator=self.generator, dtype=torch.float64)


class TextNoise:
    """Draw as LLaDA's and MMaDA's text generation does: for prompt and answer, and all ids of the vocabulary.

    Args:
        seed: Of torch's generator.
        before: Tokens before the canvas.
        length: Tokens of the canvas.
        row: Which of `rows` answers that are written in one batch this one is.
        rows: Of the batch.
    """

    def __init__(self, seed: int, *, before: int, length: int, row: int = 0, rows: int = 1) -> None:
        self._stream = _Stream(torch.Generator().manual_seed(seed))
        self._first, self._whole = row * (before + length) + before, rows * (before + length)

    def begin(self) -> None:
        """Begin a step."""
        self._stream.close()

    def tokens(self, rows: Tensor, count: int) -> Tensor:
        """Return Gumbel noise [n, count]."""
        self._stream.open(self._whole, count)
        return -torch.log(-torch.log(self._stream.rows(self._first + rows).clamp(min=_TINY)))

    def confidences(self, rows: Tensor) -> Tensor:
        """Return uniform numbers [n]."""
        self._stream.close()
        drawn = torch.rand(self._whole, generator=self._stream.generator, dtype=torch.float32)
        return drawn[self._first + rows].double()

    def positions(self, rows: Tensor) -> None:
        """Draw nothing."""


class SlotNoise:
    """Draw as MMaDA's image generation does: exponential numbers for each code of each slot, then one for each slot.

    Arguments as in `TextNoise`; nothing is drawn for the prompt.
    """

    def __init__(self, seed: int, *, length: int, row: int = 0, rows: int = 1) -> None:
        self._stream = _Stream(torch.Generator().manual_seed(seed))
        self._first, self._whole = row * length, rows * length
        self._count = 0

    def begin(self) -> None:
        """Begin a step."""
        self._stream.close()

    def tokens(self, rows: Tensor, count: int) -> Tensor:
        """Return Gumbel noise [n, count]: that of the race of exponential clocks by which torch draws a sample."""
        self._stream.open(self._whole, count)
        clocks = (-torch.log1p(-self._stream.rows(self._first + rows))).float()
        return -torch.log(clocks.double().clamp(min=_TINY))

    def confidences(self, rows: Tensor) -> Tensor:
        """Refuse: slots are never chosen at random."""
        raise AssertionError("images are drawn by confidence")

    def positions(self, rows: Tensor) -> Tensor:
        """Return Gumbel noise [n]; it is drawn at every step, used or not."""
        self._stream.close()
        drawn = torch.rand(self._whole, generator=self._stream.generator, dtype=torch.float32)[self._first + rows]
        return -torch.log((-torch.log(drawn.double().clamp(min=_FLOOR))).clamp(min=_FLOOR))
