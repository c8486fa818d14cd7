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
        self._keys: list[Tensor | None] = [None] * n_layers
        self._values: list[Tensor | None] = [None] * n_layers
        self._held = [0] * n_layers  # positions of the prefix that each layer has
        self._lent = [False] * n_layers  # the memory belongs to another cache: copied before it is written to
        self.room = room
        self.writing = True
        self.tail: Tensor | None = None  # hidden state [1, D] of the last position: Dream's first logits come from it

    @property
    def length(self) -> int:
        """Return the number of positions held, which is the position of the next token."""
        return self._held[0]

    @property
    def memory(self) -> list[Tensor | None]:
        """Return the tensors that hold keys and values of each layer; they change when memory has to grow."""
        return [*self._keys, *self._values]

    @property
    def nbytes(self) -> int:
        """Return the bytes that are not shared with another cache."""
        kept = zip(self._keys, self._values, self._lent)
        return sum(k.nbytes + v.nbytes for k, v, lent in kept if k is not None and not lent)

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values [B, KV, P + L, H] that a query of this pass sees; keep them while writing."""
        held, end = self._held[layer], self._held[layer] + k.shape[2]
        kept = self._keys[layer]
        several = kept is not None and len(kept) != len(k)  # canvases behind one prefix
        if several and not self.writing:
            pairs = ((kept, k), (self._values[layer], v))
            return tuple(torch.cat((one[:, :, :held].expand(len(k), -1, -1, -1), x), 2) for one, x in pairs)
        if kept is None or several or self._lent[layer] or kept.shape[2] < end:
            self._move(layer, k, end + self.room)
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, held:end], values[:, :, held:end] = k, v
        if self.writing:
            self._held[layer] = end
        return keys[:, :, :end], values[:, :, :end]

    def _move(self, layer: int, like: Tensor, positions: int) -> None:
        held = self._held[layer]
        for kept in (self._keys, self._values):
            room = room_for(like, positions)
            if kept[layer] is not None:
                room[:, :, :held] = kept[layer][:, :, :held]
            kept[layer] = room
        self._lent[layer] = False

    def fork(self, room: int | None = None) -> PrefixCache:
        """Return a cache that shares what is held so far and grows by itself: another question on the same image."""
        twin = PrefixCache(len(self._keys), self.room if room is None else room)
        twin._keys, twin._values, twin._held = list(self._keys), list(self._values), list(self._held)
        twin._lent, twin.tail = [True] * len(self._keys), self.tail
        return twin

    def select(self, rows: Tensor) -> PrefixCache:
        """Return a closed cache of the given rows [n] of the batch, in that order; a row may be repeated."""
        twin = self.fork()
        for kept in (twin._keys, twin._values):
            kept[:] = [None if x is None else x[rows] for x in kept]
        twin._lent = [False] * len(self._keys)
        twin.writing = False
        return twin
