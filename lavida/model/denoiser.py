"""The denoiser: a bidirectional transformer in the LLaDA block (arXiv 2502.09992).

Dream and the autoregressive baseline differ by their config only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from lavida.cache.base import Cache
from lavida.config import DenoiserConfig
from lavida.nn.attention import Attention, causal_mask
from lavida.nn.layers import RMSNorm, SwiGLU, add, rotary_span, rotary_tables
from lavida.nn.packed import PackedHead, StoredTable
from lavida.nn.quant import QuantLinear
from lavida.nn.ragged import Forward, RaggedBatch, Span


class Block(nn.Module):
    """Compute h = x + attention(norm(x)), then h + mlp(norm(h))."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.attn_norm = RMSNorm(config.d_model, config.norm_eps)
        self.attn = Attention(config.d_model, config.n_heads, config.n_kv_heads, qkv_bias=config.qkv_bias)
        self.mlp_norm = RMSNorm(config.d_model, config.norm_eps)
        self.mlp = SwiGLU(config.d_model, config.mlp_size)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None = None,
        cache: Cache | RaggedBatch | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Return [B, L, D] for x [B, L, D]; arguments as in `Attention.forward`."""
        x = add(x, self.attn(self.attn_norm(x), cos, sin, mask, cache, layer))
        return add(x, self.mlp(self.mlp_norm(x)))


class Denoiser(nn.Module):
    """Turn embeddings into hidden states; `head` turns hidden states into logits where needed."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding: nn.Embedding | StoredTable = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        self.packed_head: PackedHead | None = None  # the embedding once more, if it is the head and products are packed
        self.unembedding: nn.Linear | QuantLinear | PackedHead | None = None
        if not config.tied_head:
            self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)

    @property
    def dtype(self) -> torch.dtype:
        """Return the type that the network computes in."""
        return self.norm.weight.dtype

    @property
    def device(self) -> torch.device:
        """Return where the network's inputs belong."""
        return self.norm.weight.device

    @property
    def table(self) -> Tensor:
        """Return the embeddings [V, D] to look up in; their type may be narrower than `dtype`."""
        return self.embedding.table if isinstance(self.embedding, StoredTable) else self.embedding.weight

    def embed(self, ids: Tensor) -> Tensor:
        """Return token embeddings [..., D]."""
        return self.embedding(ids)

    def forward(
        self,
        x: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return hidden states [B, L, D] of embeddings x [B, L, D], after the last norm.

        Args:
            x: Embeddings.
            positions: Positions [L] or [B, L]; by default those that follow the cache.
            mask: As in `Attention.forward`. In an autoregressive model it is combined with the causal mask.
            cache: Keys and values of earlier tokens.
        """
        start = cache.length if cache is not None else 0
        mask = self._mask(x.shape[1], start, mask)
        if positions is None:
            return self._through(x, *self._rotary(x, start), mask, cache)
        cos, sin = rotary_tables(positions, self.config.head_dim, self.config.rope_theta)
        if cos.dim() == 3:  # positions per row: broadcast over heads
            cos, sin = cos[:, None], sin[:, None]
        return self._through(x, cos, sin, mask, cache)

    def forward_ragged(self, forwards: Sequence[Forward], *, depth: int | None = None) -> list[Tensor]:
        """Compute the hidden states [1, T_i, D] of several forward passes, whose rows share the matrix products.

        They equal those of `forward` up to rounding, and to the bit where a product does not depend on how many rows
        it has (`decode.batch_invariance`). `depth` stops behind so many blocks.
        """
        if len(forwards) == 1 and depth is None:
            return [self(f.x, mask=f.mask, cache=f.cache) for f in forwards]
        starts = [0 if f.cache is None else f.cache.length for f in forwards]
        tables = [self._rotary(f.x, start) for f, start in zip(forwards, starts)]
        masks = [self._mask(f.x.shape[1], start, f.mask) for f, start in zip(forwards, starts)]
        lengths = [f.x.shape[1] for f in forwards]
        rows = [slice(*ends) for ends in pairwise(accumulate(lengths, initial=0))]
        batch = RaggedBatch([Span(own, mask, f.cache) for own, mask, f in zip(rows, masks, forwards)])
        cos, sin = (torch.cat(parts) for parts in zip(*tables))
        hidden = self._through(torch.cat([f.x for f in forwards], 1), cos, sin, None, batch, depth)
        return list(hidden.split(lengths, 1))

    def _mask(self, length: int, start: int, mask: Tensor | None) -> Tensor | None:
        if not self.config.autoregressive:
            return mask
        return causal_mask(length, start + length, mask, self.device)

    def _rotary(self, x: Tensor, start: int) -> tuple[Tensor, Tensor]:
        return rotary_span(start, start + x.shape[1], self.config.head_dim, self.config.rope_theta, x.device)

    def _through(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        cache: Cache | RaggedBatch | None,
        depth: int | None = None,
    ) -> Tensor:
        for layer, block in enumerate(self.blocks[:depth]):
            x = block(x, cos, sin, mask, cache, layer)
        return self.norm(x)

    def head(self, hidden: Tensor, part: slice | None = None) -> Tensor:
        """Return logits [..., V] of hidden states [..., D]; row i predicts token i, or i + 1 if `logit_shift`.

        With a `part` of the vocabulary only its logits; gradients do not pass a packed head then.
        """
        layer = self.packed_head or self.unembedding
        if isinstance(layer, PackedHead):
            return layer(hidden, part)
        if part is None and layer is not None:
            return layer(hidden)
        if isinstance(layer, QuantLinear):
            return layer.multiply(hidden, part)
        weight = self.embedding.weight if layer is None else layer.weight
        return nn.functional.linear(hidden, weight if part is None else weight[part])

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Initialise in place: embeddings 1/sqrt(D), matrices 0.02 with residual outputs shrunk by depth."""
        for name, p in self.named_parameters():
            if p.dim() < 2:
                p.fill_(0.0 if name.endswith("bias") else 1.0)
            elif "embedding" in name:
                p.normal_(0.0, self.config.d_model**-0.5, generator=generator)
            else:
                residual = name.endswith(("attn.out.weight", "mlp.down.weight"))
                p.normal_(0.0, 0.02 / ((2 * self.config.n_layers) ** 0.5 if residual else 1.0), generator=generator)
