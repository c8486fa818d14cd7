"""Keys and values of prompt and canvas, kept while one block is written (Fast-dLLM, arXiv 2505.22618).

Approximate: in a bidirectional model everything changes with every committed token. A full pass at the start of each
block brings all of it up to date; until the next one, only a window of it is.
"""

from __future__ import annotations

import torch
from torch import Tensor


class BlockCache:
    """Rotated keys and values of the last full pass; a pass over a window sees its own and the kept ones around it."""

    def __init__(self, n_layers: int) -> None:
        self._kept: list[tuple[Tensor, Tensor] | None] = [None] * n_layers
        self._window: tuple[int, int] | None = None

    def refresh(self) -> None:
        """The next pass is a full one."""
        self._window = None

    def look_at(self, start: int, end: int) -> None:
        """The next passes compute positions [start, end) only."""
        self._window = (start, end)

    @property
    def length(self) -> int:
        """Position of the first token of the next pass."""
        return 0 if self._window is None else self._window[0]

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, KV, P + L, H] of the whole sequence; a full pass replaces what is kept."""
        if self._window is None:
            self._kept[layer] = (k, v)
            return k, v
        start, end = self._window
        keys, values = self._kept[layer]
        return (
            torch.cat((keys[:, :, :start], k, keys[:, :, end:]), 2),
            torch.cat((values[:, :, :start], v, values[:, :, end:]), 2),
        )
