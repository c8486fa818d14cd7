"""What attention asks of a cache, and where one keeps what it is given."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """Rotated keys and values of tokens that are not computed again."""

    @property
    def length(self) -> int:
        """Position of the first token of the next forward pass."""

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values that the queries of this pass see, [B, KV, keys, H], from its own [B, KV, L, H]."""


def room_for(like: Tensor, positions: int) -> Tensor:
    """Memory [B, KV, positions, H] for keys or values `like` [B, KV, L, H]."""
    batch, heads, _, size = like.shape
    with torch.inference_mode(False):  # or it could be written to in inference mode only
        return torch.empty(batch, heads, positions, size, dtype=like.dtype, device=like.device)
