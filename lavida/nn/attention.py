"""One attention call and the masks of the paper: full, Prefix-DLM, packed segments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.cache.base import Cache
from lavida.nn.layers import rotate
from lavida.nn.ragged import RaggedBatch


class Attention(nn.Module):
    """Multi-head attention with grouped keys; bidirectional unless a mask says otherwise."""

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
        """x [B, L, D]; mask broadcastable to [B, N, L, keys], True = may attend; its keys are those of `cache.join`.

        The spans of a ragged batch attend one by one, each under its own mask: x is [1, R, D] and `mask` is not used.
        """
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.n_heads, self.head_dim).transpose(1, 2)  # [B, N, L, H]
        k = self.k(x).view(batch, length, self.n_kv_heads, self.head_dim).transpose(1, 2)
        v = self.v(x).view(batch, length, self.n_kv_heads, self.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if isinstance(cache, RaggedBatch):
            parts = ((span, [t[:, :, span.rows] for t in (q, k, v)]) for span in cache.spans)
            x = torch.cat([self._attend(*qkv, span.mask, span.cache, layer) for span, qkv in parts], 2)
        else:
            x = self._attend(q, k, v, mask, cache, layer)
        return self.out(x.transpose(1, 2).reshape(batch, length, -1))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        """Values [B, N, L, H] of queries [B, N, L, H] that see k, v [B, KV, L, H] and what the cache holds."""
        if cache is not None:
            k, v = cache.join(layer, k, v)
        if mask is not None and self.training and q.device.type == "cpu" and self.n_heads == self.n_kv_heads:
            return _explicit_attention(q, k, v, mask)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=self.n_heads != self.n_kv_heads)


def _explicit_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention as two matrix products: a third of the time of a masked SDPA, forward and backward on a CPU."""
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill_(~mask, float("-inf"))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + mask.to(q.dtype)
    return scores.softmax(-1).to(v.dtype) @ v


def prefix_mask(prefix: Tensor, length: int) -> Tensor:
    """Prefix-DLM mask [B, 1, L, L] for prefix lengths [B]: the prefix sees itself, the answer sees all."""
    is_prefix = torch.arange(length, device=prefix.device) < prefix[:, None]  # [B, L]
    return (is_prefix[:, None, :] | ~is_prefix[:, :, None])[:, None]


def causal_mask(length: int, keys: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """`mask` as in `Attention.forward`, or none, less what comes later: the queries are the last `length` of `keys`."""
    seen = torch.ones(length, keys, dtype=torch.bool, device=device).tril(keys - length)
    if mask is None:
        return seen
    return mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, float("-inf"))


def segment_mask(segment: Tensor, parent: Tensor) -> Tensor:
    """Packed Prefix-DLM mask [B, 1, L, L].

    `segment` [B, L] numbers the pieces of a row (0 = padding) and `parent` [B, L, A] lists the pieces that a token
    sees besides its own (0 = none). So one image serves several prompts, and one prompt two complementary answers.
    """
    same = segment[:, :, None] == segment[:, None, :]
    seen = (parent[:, :, :, None] == segment[:, None, None, :]).any(2)
    alive = (segment > 0)[:, None, :]
    # Padding attends to itself only, so that its softmax has a key.
    return ((same | seen) & alive | torch.eye(segment.shape[1], dtype=torch.bool, device=segment.device))[:, None]
