"""Attention, and its masks: causal and packed Prefix-DLM segments."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.cache.base import Cache
from lavida.nn.layers import rotate
from lavida.nn.packed import product_of
from lavida.nn.ragged import RaggedBatch

_SCORES = 1 << 15  # of a head, from which heads are computed one by one in bfloat16
_TILE = 32  # columns of an AMX tile of bfloat16


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
        q, k, v = self._projected(x, cos, sin)
        if isinstance(cache, RaggedBatch):
            parts = [
                self._attend(q[:, :, s.rows], k[:, :, s.rows], v[:, :, s.rows], s.mask, s.cache, layer)
                for s in cache.spans
            ]
            x = torch.cat(parts, 2)
        else:
            x = self._attend(q, k, v, mask, cache, layer)
        return self.out(x.transpose(1, 2).reshape(batch, length, -1))

    def _projected(self, x: Tensor, cos: Tensor, sin: Tensor) -> Sequence[Tensor]:
        """Return queries [B, N, L, H], keys and values [B, KV, L, H], rotated where they are to be."""
        numbers = (self.n_heads, self.n_kv_heads, self.n_kv_heads)
        joint = product_of(self.q, self.k, self.v)
        if joint is not None:  # one product and one rotation
            heads = joint(x).unflatten(-1, (sum(numbers), self.head_dim)).transpose(1, 2)
            turned, v = heads.split((sum(numbers[:2]), self.n_kv_heads), 1)
            return *rotate(turned, cos, sin).split(numbers[:2], 1), v
        q, k, v = (
            layer(x).unflatten(-1, (number, self.head_dim)).transpose(1, 2)
            for layer, number in zip((self.q, self.k, self.v), numbers)
        )
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        """Return values [B, N, L, H] of queries [B, N, L, H] over k, v [B, KV, L, H] and the cache."""
        if cache is not None:
            k, v = cache.join(layer, k, v)
        if mask is not None and self.training and q.device.type == "cpu" and self.n_heads == self.n_kv_heads:
            return _explicit_attention(q, k, v, mask)
        return attend(q, k, v, mask)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return attention [B, N, L, H] of queries [B, N, L, H] over keys and values [B, KV, S, H], the fastest way.

    On a CPU without AMX PyTorch's fused kernel takes in bfloat16 up to 2.5 times as long as two ordinary products for
    each head, whose scores are rounded to bfloat16. Milliseconds on one core, torch 2.13, fused and by heads, with
    AVX512_BF16 alone (AMD EPYC) and with AMX (Xeon):

    | heads, queries, keys, size | bfloat16   | float32    | bfloat16, AMX |
    |----------------------------|------------|------------|---------------|
    | 6, 16, 120, 64             | .07  .25   | .08  .14   | .04  .35      |
    | 6, 104, 104, 64            | .33  .39   | .37  .41   | .17  .47      |
    | 6, 128, 250, 64            | .81  .69   | .91  .96   | .31  .70      |
    | 16, 32, 1289, 64           | 2.6  2.0   | 3.9  4.5   | 1.4  2.2      |
    | 16, 1257, 1257, 64         | 89  52     | 82  94     | 34  44        |
    | 80, 729, 729, 72           | 191  110   | 168  180   | 141  127      |

    So heads are taken one by one in bfloat16 where each has at least _SCORES scores; with AMX only where its tiles do
    not divide their size. The choice depends on the processor and the shape of one answer only: attention is never
    shared among answers.
    """
    if mask is None and q.dtype == torch.bfloat16 and q.device.type == "cpu" and q.shape[2] * k.shape[2] >= _SCORES:
        fused_wins = _has_amx() and q.shape[-1] % _TILE == 0
        if not fused_wins and not (torch.is_grad_enabled() and q.requires_grad):
            return _by_heads(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1])


@functools.cache
def _has_amx() -> bool:
    """Return whether the processor multiplies tiles of bfloat16; no, where PyTorch cannot tell."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def _by_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    batch, n_heads, length, size = q.shape
    share, q = n_heads // k.shape[1], q * size**-0.5
    out = q.new_empty(batch, length, n_heads, size).transpose(1, 2)
    scores = q.new_empty(length, k.shape[2])
    for row in range(batch):
        for head in range(n_heads):
            torch.mm(q[row, head], k[row, head // share].T, out=scores)
            torch.softmax(scores, -1, out=scores)
            torch.mm(scores, v[row, head // share], out=out[row, head])
    return out


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
