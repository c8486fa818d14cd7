"""Keys and values of the prefix (image and prompt), computed once and read at each step.

Exact under the Prefix-DLM mask, where the prefix never sees the answer (section 3.4 of arXiv 2505.16839).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.cache.base import room_for


class PrefixCache:
    """Hold rotated keys and values per layer; while `writing`, each forward pass appends its own.

    Memory is allocated with `room` free positions behind the prefix. A forward pass writes its own keys there, so that
    a step copies a canvas and never the prefix; in a closed cache the next pass overwrites them. Not thread-safe.
    """

    def __init__(self, n_layers: int, room: int = 0) -> None:
        self._kept: list[tuple[Tensor, Tensor] | None] = [None] * n_layers  # keys and values
        self._held = [0] * n_layers  # positions of the prefix that each layer has
        self._shared = [False] * n_layers  # the memory belongs to another cache: copied before it is written to
        self.room = room
        self.writing = True
        self.tail: Tensor | None = None  # hidden state [1, D] of the last position: Dream's first logits come from it

    @property
    def length(self) -> int:
        """Return the number of positions held, which is the position of the next token."""
        return self._held[0]

    @property
    def memory(self) -> list[Tensor]:
        """Return the tensors that hold keys and values of each layer; they change when memory has to grow."""
        return [tensor for pair in self._kept if pair is not None for tensor in pair]

    @property
    def nbytes(self) -> int:
        """Return the bytes that are not shared with another cache."""
        own = (pair for pair, shared in zip(self._kept, self._shared) if pair is not None and not shared)
        return sum(keys.nbytes + values.nbytes for keys, values in own)

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values [B, KV, P + L, H] that a query of this pass sees; keep them while writing."""
        held, end = self._held[layer], self._held[layer] + k.shape[2]
        kept = self._kept[layer]
        several = kept is not None and len(kept[0]) != len(k)  # canvases behind one prefix
        if kept is not None and several and not self.writing:
            return _behind(kept[0][:, :, :held], k), _behind(kept[1][:, :, :held], v)
        if kept is None or several or self._shared[layer] or kept[0].shape[2] < end:
            kept = self._move(layer, k, end + self.room)
        keys, values = kept
        keys[:, :, held:end], values[:, :, held:end] = k, v
        if self.writing:
            self._held[layer] = end
        return keys[:, :, :end], values[:, :, :end]

    def _move(self, layer: int, like: Tensor, positions: int) -> tuple[Tensor, Tensor]:
        held, old = self._held[layer], self._kept[layer]
        new = room_for(like, positions), room_for(like, positions)
        for source, target in zip(old or (), new):
            target[:, :, :held] = source[:, :, :held]
        self._kept[layer], self._shared[layer] = new, False
        return new

    def fork(self, room: int | None = None) -> PrefixCache:
        """Return a cache that shares what is held so far and grows by itself: another question on the same image."""
        twin = PrefixCache(len(self._kept), self.room if room is None else room)
        twin._kept, twin._held = list(self._kept), list(self._held)
        twin._shared, twin.tail = [True] * len(self._kept), self.tail
        return twin

    def select(self, rows: Tensor) -> PrefixCache:
        """Return a closed cache of the given rows [n] of the batch, in that order; a row may be repeated."""
        twin = self.fork()
        twin._kept = [None if pair is None else (pair[0][rows], pair[1][rows]) for pair in twin._kept]
        twin._shared = [False] * len(self._kept)
        twin.writing = False
        return twin


def _behind(prefix: Tensor, own: Tensor) -> Tensor:
    """Return keys or values of one prefix, each canvas's own behind it."""
    return torch.cat((prefix.expand(len(own), -1, -1, -1), own), 2)
