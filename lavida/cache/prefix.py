"""Keys and values of the prefix (image and prompt), computed once and read at each step.

Exact under the Prefix-DLM mask, where the prefix never sees the answer (section 3.4 of arXiv 2505.16839).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.cache.base import room_for


class PrefixCache:
    """Rotated keys and values per layer; while `writing`, each forward appends what it computes.

    Memory is allocated with `room` free positions behind the prefix. A forward writes its own keys there, so that a
    step copies a canvas and never the prefix; in a closed cache the next one overwrites them. Not for two threads.
    """

    def __init__(self, n_layers: int, room: int = 0) -> None:
        self._keys: list[Tensor | None] = [None] * n_layers
        self._values: list[Tensor | None] = [None] * n_layers
        self._held = [0] * n_layers  # positions of the prefix that each layer has
        self._lent = [False] * n_layers  # the memory is another cache's: copied before it is written to
        self.room = room
        self.writing = True
        self.tail: Tensor | None = None  # hidden state [1, D] of the last position: Dream reads its logits off it

    @property
    def length(self) -> int:
        """Positions held; the next token stands at this position."""
        return self._held[0]

    @property
    def memory(self) -> list[Tensor | None]:
        """Where the keys and values of each layer lie: other tensors once they had to move."""
        return [*self._keys, *self._values]

    @property
    def nbytes(self) -> int:
        """Memory that is not another cache's."""
        kept = zip(self._keys, self._values, self._lent)
        return sum(k.nbytes + v.nbytes for k, v, lent in kept if k is not None and not lent)

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, KV, P + L, H] that a query of this forward sees; keeps them while writing."""
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
        """A cache that shares what is held so far and grows on its own: another question on the same image."""
        twin = PrefixCache(len(self._keys), self.room if room is None else room)
        twin._keys, twin._values, twin._held = list(self._keys), list(self._values), list(self._held)
        twin._lent, twin.tail = [True] * len(self._keys), self.tail
        return twin

    def select(self, rows: Tensor) -> PrefixCache:
        """A closed cache of the given rows [n] of the batch, in that order; a row may come several times."""
        twin = self.fork()
        for kept in (twin._keys, twin._values):
            kept[:] = [None if x is None else x[rows] for x in kept]
        twin._lent = [False] * len(self._keys)
        twin.writing = False
        return twin
