"""Attention, and its masks: causal and packed Prefix-DLM segments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.cache.base import Cache
from lavida.nn.layers import rotate
from lavida.nn.packed import products
from lavida.nn.ragged import RaggedBatch


class Attention(nn.Module):
    """Apply multi-head attention with grouped keys, bidirectional unless masked."""

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads, d_model // n_heads
        self.q = nn.Linear(d_model, n_heads * self.head_dim, bias=qkv_bias)
        self.k = nn.Linear(d_model, n_kv_heads * self.head_dim, bias=qkv_bias)
        self.v = nn.Linear(d_model, n_kv_heads * self.head_dim, bias=qkv_bias)
        self.out = nn.Linear(n_heads * self.head_dim, d_model, bias=False)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None = None,
        cache: Cache | RaggedBatch | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Return [B, L, D] for x [B, L, D].

        Args:
            x: Normalised hidden states; of a ragged batch [1, R, D], whose members attend one by one.
            cos: Rotary table, broadcastable to [B, N, L, H].
            sin: The same.
            mask: Broadcastable to [B, N, L, keys], True = may attend; its keys are those of `cache.join`. Not used
                for a ragged batch, whose members bring their own.
            cache: Where keys and values are joined with earlier ones, or a ragged batch.
            layer: Number of the layer, for the cache.
        """
        batch, length, _ = x.shape
        q, k, v = (  # [B, N, L, H]
            part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in products(x, self.q, self.k, self.v)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if isinstance(cache, RaggedBatch):
            parts = [
                self._attend(q[:, :, s.rows], k[:, :, s.rows], v[:, :, s.rows], s.mask, s.cache, layer)
                for s in cache.spans
            ]
            x = torch.cat(parts, 2)
        else:
            x = self._attend(q, k, v, mask, cache, layer)
        return self.out(x.transpose(1, 2).reshape(batch, length, -1))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        """Return values [B, N, L, H] of queries [B, N, L, H] over k, v [B, KV, L, H] and the cache."""
        if cache is not None:
            k, v = cache.join(layer, k, v)
        if mask is not None and self.training and q.device.type == "cpu" and self.n_heads == self.n_kv_heads:
            return _explicit_attention(q, k, v, mask)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=self.n_heads != self.n_kv_heads)


def _explicit_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Compute attention as two matrix products: on a CPU a third of the time of a masked SDPA, forward and backward."""
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill_(~mask, float("-inf"))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + mask.to(q.dtype)
    return scores.softmax(-1).to(v.dtype) @ v


def causal_mask(length: int, keys: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """Return `mask` (or all of the keys) without later keys; the queries are the last `length` of `keys`."""
    seen = torch.ones(length, keys, dtype=torch.bool, device=device).tril(keys - length)
    if mask is None:
        return seen
    return mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, float("-inf"))


def segment_mask(segment: Tensor, parent: Tensor) -> Tensor:
    """Return the packed Prefix-DLM mask [B, 1, L, L].

    One image serves several prompts, and one prompt two complementary answers.

    Args:
        segment: Number [B, L] of the segment of each token; 0 = padding.
        parent: Segments [B, L, A] that a token sees besides its own; 0 = none.
    """
    same = segment[:, :, None] == segment[:, None, :]
    seen = (parent[:, :, :, None] == segment[:, None, None, :]).any(2)
    alive = (segment > 0)[:, None, :]
    # Padding attends to itself only, so that its softmax has a key.
    return ((same | seen) & alive | torch.eye(segment.shape[1], dtype=torch.bool, device=segment.device))[:, None]
