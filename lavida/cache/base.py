"""What attention asks of a cache."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Cache(Protocol):
    """Rotated keys and values of tokens that are not computed again."""

    @property
    def length(self) -> int:
        """Position of the first token of the next forward pass."""

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values that the queries of this pass see, [B, KV, keys, H], from its own [B, KV, L, H]."""
