"""The forward process: answer tokens turn into the mask token; prompt and picture stay clean.

Section 3.2 of arXiv 2505.16839: x_t masks each answer token independently with probability p(t) = (1 - eps) t + eps.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-3


def sample_times(batch: int, generator: torch.Generator, eps: float = EPS) -> Tensor:
    """Masking probabilities p [B], uniform on (eps, 1)."""
    return (1 - eps) * torch.rand(batch, generator=generator, device=generator.device) + eps


def draw_masks(answer: Tensor, p: Tensor, generator: torch.Generator) -> Tensor:
    """Masked positions [B, L] among `answer` [B, L] (bool), each with probability p [B]; at least one in each row.

    A row without answer tokens stays clean.
    """
    u = torch.rand(answer.shape, generator=generator, device=generator.device).to(answer.device)
    u = u.masked_fill(~answer, torch.inf)
    # The smallest draw is masked whatever p says: a row without masks would teach nothing.
    threshold = torch.maximum(p.to(u)[:, None], u.amin(-1, keepdim=True))
    return answer & (u <= threshold)


def masking_odds(p: Tensor, length: int | Tensor) -> Tensor:
    """Probability [B] that `draw_masks` hides a given one of `length` answer tokens (one number or [B]).

    That is p [B] and the share of the forced mask, which counts where tokens are few: 1 / p alone would weigh such a
    token a thousandfold at the smallest p.
    """
    return p + (1 - p) ** length / length


def complementary(masked: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
    """Two masks [B, L] that together cover each answer token exactly once (section 3.3 of arXiv 2505.16839)."""
    return masked & answer, ~masked & answer


def apply_mask(ids: Tensor, masked: Tensor, mask_id: int) -> Tensor:
    """`ids` with the masked positions replaced."""
    return torch.where(masked, mask_id, ids)
