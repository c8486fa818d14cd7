"""Keys and values of prompt and canvas, kept while one block is decoded (Fast-dLLM, arXiv 2505.22618).

Approximate: in a bidirectional model everything changes with every committed token. A full pass updates all of it;
until the next one, only a window is updated.
"""

from __future__ import annotations

from torch import Tensor

from lavida.cache.base import room_for


class BlockCache:
    """Hold rotated keys and values of the last full pass; a pass over a window replaces its part."""

    def __init__(self, n_layers: int) -> None:
        self._kept: list[tuple[Tensor, Tensor] | None] = [None] * n_layers
        self._window: tuple[int, int] | None = None

    def refresh(self) -> None:
        """Make the next pass a full one."""
        self._window = None

    def look_at(self, start: int, end: int) -> None:
        """Limit the next passes to positions [start, end)."""
        self._window = (start, end)

    @property
    def length(self) -> int:
        """Return the position of the first token of the next pass."""
        return 0 if self._window is None else self._window[0]

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values [B, KV, P + L, H] of the whole sequence, including those of this pass."""
        start, end = self._window or (0, k.shape[2])
        kept = self._kept[layer]
        if kept is None:
            kept = self._kept[layer] = room_for(k, end), room_for(v, end)
        keys, values = kept
        keys[:, :, start:end], values[:, :, start:end] = k, v
        return keys, values
