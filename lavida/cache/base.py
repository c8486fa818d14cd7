"""The interface between attention and a cache of keys and values, and memory for one."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """Hold rotated keys and values of tokens that are not computed again."""

    @property
    def length(self) -> int:
        """Return the position of the first token of the next forward pass."""

    def join(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return all keys and values [B, KV, keys, H] that this pass sees, given its own [B, KV, L, H]."""


def room_for(like: Tensor, positions: int) -> Tensor:
    """Return memory [B, KV, positions, H] for keys or values like `like` [B, KV, L, H]."""
    batch, heads, _, size = like.shape
    with torch.inference_mode(False):  # else it could be written to in inference mode only
        return torch.empty(batch, heads, positions, size, dtype=like.dtype, device=like.device)
