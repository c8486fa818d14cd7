"""The forward process: answer tokens turn into the mask token; prompt and picture stay clean.

Section 3.2 of arXiv 2505.16839: x_t masks each answer token independently with probability p(t) = (1 - eps) t + eps.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-3


def sample_times(batch: int, generator: torch.Generator, eps: float = EPS) -> Tensor:
    """Draw masking probabilities p [B], uniform on (eps, 1)."""
    return (1 - eps) * torch.rand(batch, generator=generator, device=generator.device) + eps


def draw_masks(answer: Tensor, p: Tensor, generator: torch.Generator) -> Tensor:
    """Draw masked positions [B, L] among `answer` [B, L] (bool), each with probability p [B]; at least one in each row.

    A row without answer tokens stays clean.
    """
    u = torch.rand(answer.shape, generator=generator, device=generator.device).to(answer.device)
    u = u.masked_fill(~answer, torch.inf)
    # The smallest draw is masked whatever p is: a row without masks would teach nothing.
    threshold = torch.maximum(p.to(u)[:, None], u.amin(-1, keepdim=True))
    return answer & (u <= threshold)


def draw_copies(
    answer: Tensor, generator: torch.Generator, *, complementary_pair: bool = True, eps: float = EPS
) -> tuple[Tensor, Tensor]:
    """Draw two masks of each row and the probabilities that a token was masked in them.

    Args:
        answer: Tokens that can be masked, [B, L] bool.
        generator: The source of all randomness.
        complementary_pair: The second mask is the complement of the first (section 3.3 of arXiv 2505.16839); otherwise
            both are drawn independently.
        eps: The smallest masking probability.

    Returns:
        Masked positions [2, B, L] and probabilities [2, B], both of the forced mask included.
    """
    lengths = answer.sum(-1).clamp(min=1)
    if complementary_pair:
        p = sample_times(len(answer), generator, eps)
        masked = torch.stack(complementary(draw_masks(answer, p, generator), answer))
        p = masking_probability(p, lengths)
        return masked, torch.stack((p, 1 - p)).clamp(min=eps)
    p = torch.stack([sample_times(len(answer), generator, eps) for _ in range(2)])
    return torch.stack([draw_masks(answer, own, generator) for own in p]), masking_probability(p, lengths)


def masking_probability(p: Tensor, length: int | Tensor) -> Tensor:
    """Return the probability [B] that `draw_masks` masks a given one of `length` answer tokens (one number or [B]).

    That is p [B] and the share of the forced mask, which counts where tokens are few: 1 / p alone would weigh such a
    token a thousandfold at the smallest p.
    """
    return p + (1 - p) ** length / length


def complementary(masked: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
    """Return two masks [B, L] that together cover each answer token exactly once."""
    return masked & answer, ~masked & answer


def apply_mask(ids: Tensor, masked: Tensor, mask_id: int) -> Tensor:
    """Return `ids` with the masked positions replaced."""
    return torch.where(masked, mask_id, ids)
