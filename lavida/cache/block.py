"""Keys and values of prompt and canvas, kept while one block is written (Fast-dLLM, arXiv 2505.22618).

Approximate: in a bidirectional model everything changes with every committed token. A full pass brings all of it up to
date; until the next one, only a window of it is.
"""

from __future__ import annotations

from torch import Tensor

from lavida.cache.base import room_for


class BlockCache:
    """Rotated keys and values of the last full pass; a pass over a window puts its own in their place."""

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
        """Keys and values [B, KV, P + L, H] of the whole sequence, those of this pass among them."""
        start, end = self._window or (0, k.shape[2])
        if self._kept[layer] is None:
            self._kept[layer] = room_for(k, end), room_for(v, end)
        keys, values = self._kept[layer]
        keys[:, :, start:end], values[:, :, start:end] = k, v
        return keys, values
