"""A prompt that a model has read, and the canvases that are held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.decode.context import HiddenOf, answer_hidden
from lavida.diffusion.masking import apply_mask
from lavida.errors import RequestError
from lavida.model.vlm import VLM
from lavida.text.chat import ChatTemplate, last_token
from lavida.text.tokenizer import Vocabulary

_ROWS = 32  # canvases that go through the denoiser together


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Prompt pieces [1, P_i, D] of `VLM.segments`, or the cache that holds them, and the canvas behind them.

    A canvas is a text, the token that ends it, and end tokens up to `length`: what the model was taught to write.
    """

    net: VLM
    tokenizer: Vocabulary
    template: ChatTemplate
    segments: Sequence[Tensor]
    cache: str | PrefixCache  # "prefix", "none" or a cache, as in `decode.answer.answer_hidden`
    length: int

    @cached_property
    def hidden_of(self) -> HiddenOf:
        return answer_hidden(self.net, list(self.segments), self.cache)

    @property
    def mask_id(self) -> int:
        return self.net.config.denoiser.mask_id

    @cached_property
    def unwritable(self) -> Tensor:
        """Ids [n] that stand for no text: special tokens and rows of the embedding without one."""
        denoiser = self.net.config.denoiser
        beyond = range(self.tokenizer.size, denoiser.vocab_size)
        named = {denoiser.mask_id, *denoiser.eos_ids, *denoiser.banned_ids, *self.tokenizer.special_ids, *beyond}
        return torch.tensor(sorted(named))

    def begin_with_space(self, logits: Tensor, rows: Tensor) -> None:
        """Take from the `rows` [n] of logits [n, V] in place what would not begin with a space."""
        if rows.any():
            logits[rows.nonzero(), torch.tensor(self.tokenizer.unspaced_ids)] = -torch.inf

    def canvas(self, ids: Sequence[int], length: int | None = None) -> Tensor:
        """A text's tokens as a canvas of at least `length` (default: the reading's own)."""
        pad = self.net.config.denoiser.eos_ids[0]
        end = last_token(self.template)
        written = [*ids, self.tokenizer.id_of(end) if end else pad]
        return torch.tensor(written + [pad] * ((length or self.length) - len(written)))

    @torch.no_grad()
    def log_probabilities(self, ids: Tensor, masked: Tensor, wanted: Tensor) -> Tensor:
        """Log-probabilities [n, V] at the `wanted` places of canvases [B, L] whose `masked` places are hidden."""
        net, device = self.net, self.net.denoiser.embedding.weight.device
        noised = apply_mask(ids, masked, self.mask_id).to(device)
        parts = [
            F.log_softmax(net.denoiser.head(self.hidden_of(rows)[at.to(device)]).float(), -1).cpu()
            for rows, at in zip(noised.split(_ROWS), wanted.split(_ROWS), strict=True)
        ]
        return torch.cat(parts)


def check_both_ways(net: VLM) -> None:
    """Raise RequestError for a model that does not see what stands behind a gap."""
    if net.config.denoiser.autoregressive:
        raise RequestError("this model writes left to right and sees nothing behind a gap; take a diffusion model")
