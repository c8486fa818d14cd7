"""The canvas: the answer while it is being written, and where it ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(kw_only=True)
class Canvas:
    """`ids` [L] holds the mask id wherever `fixed` [L] is False; a fixed position is not written again."""

    ids: Tensor
    fixed: Tensor

    @classmethod
    def blank(cls, length: int, mask_id: int) -> Canvas:
        """All masks."""
        return cls(ids=torch.full((length,), mask_id), fixed=torch.zeros(length, dtype=torch.bool))

    @classmethod
    def draft(cls, ids: Tensor, mask_id: int) -> Canvas:
        """A draft [L] to fill in: masks are written, everything else is kept."""
        return cls(ids=ids.clone(), fixed=ids != mask_id)

    def commit(self, positions: Tensor, ids: Tensor) -> None:
        """Write `ids` [n] at `positions` [n], which are open."""
        assert not self.fixed[positions].any(), "a committed position was written again"
        self.ids[positions] = ids
        self.fixed[positions] = True

    def reopen(self, positions: Tensor, mask_id: int) -> None:
        """Take back what was written at `positions` [n]."""
        self.ids[positions] = mask_id
        self.fixed[positions] = False


def find_stop(ids: Tensor, stops: Collection[Sequence[int]]) -> int:
    """Where the first of the sequences `stops` begins in `ids` [L]; L if there is none."""
    first = len(ids)
    for stop in stops:
        if len(stop) <= len(ids):
            hits = (ids.unfold(0, len(stop), 1) == torch.tensor(stop, device=ids.device)).all(-1).nonzero()
            first = min([first, *hits[:1, 0].tolist()])
    return first
