"""Keys and values of the prefix (image and prompt), computed once and read at each step.

Exact under the Prefix-DLM mask, where the prefix never sees the answer (section 3.4 of arXiv 2505.16839).
"""

from __future__ import annotations

import torch
from torch import Tensor


class PrefixCache:
    """Rotated keys and values per layer; while `writing`, each forward appends what it computes."""

    def __init__(self, n_layers: int) -> None:
        self._keys: list[Tensor | None] = [None] * n_layers
        self._values: list[Tensor | None] = [None] * n_layers
        self.writing = True
        self.tail: Tensor | None = None  # hidden state [1, D] of the last position: Dream reads its logits off it

    @property
    def length(self) -> int:
        """Positions held; the next token stands at this position."""
        return 0 if self._keys[0] is None else self._keys[0].shape[2]

    @property
    def memory(self) -> list[Tensor | None]:
        """Where the keys and values of each layer lie: other tensors once they had to move."""
        return [*self._keys, *self._values]

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, KV, P + L, H] that a query of this forward sees; appends them while writing."""
        if self._keys[layer] is not None:
            k = torch.cat((self._keys[layer].expand(k.shape[0], -1, -1, -1), k), dim=2)
            v = torch.cat((self._values[layer].expand(v.shape[0], -1, -1, -1), v), dim=2)
        if self.writing:
            self._keys[layer], self._values[layer] = k, v
        return k, v

    def fork(self) -> PrefixCache:
        """A cache that shares what is held so far and grows on its own: another question on the same image."""
        twin = PrefixCache(len(self._keys))
        twin._keys, twin._values, twin.tail = list(self._keys), list(self._values), self.tail
        return twin

    def select(self, rows: Tensor) -> PrefixCache:
        """A closed cache of the given rows [n] of the batch, in that order; a row may come several times."""
        twin = self.fork()
        twin._keys = [None if k is None else k[rows] for k in self._keys]
        twin._values = [None if v is None else v[rows] for v in self._values]
        twin.writing = False
        return twin
