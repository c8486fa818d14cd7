"""The forward process: answer tokens turn into the mask token; prompt and picture stay clean.

Section 3.2 of arXiv 2505.16839: x_t masks each answer token independently with probability p(t) = (1 - eps) t + eps.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-3
NEVER = 1 << 30  # the step of a place that decoding never decides


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


def draw_moments(steps: Tensor, blank: float, generator: torch.Generator, copies: int = 2) -> Tensor:
    """Draw moments [C, B] of decoding, each from before its first step to before its last one.

    Args:
        steps: [B, L] the step at which each token was committed, from 0 on; -1 outside the canvas, and beyond the last
            step for a place that was never decided.
        blank: The share of moments before the first step, when the whole canvas is masked; others are uniform.
        generator: The source of all randomness.
        copies: C.
    """
    decided = torch.where(steps < NEVER, steps, 0)
    last = decided.amax(-1).clamp(min=0)  # [B]
    u = torch.rand(copies, len(steps), generator=generator, device=generator.device).to(steps.device)
    first = torch.rand(copies, len(steps), generator=generator, device=generator.device).to(steps.device) < blank
    drawn = torch.minimum((u * (last + 1)).long(), last)
    return torch.where(first, 0, drawn)


def trajectory_masks(steps: Tensor, blocks: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is masked at moments [C, B] of decoding, and which of it decoding asks for then, both [C, B, L].

    Only the first block with an open place is asked for; later ones are masked as well, as in the published training.

    Args:
        steps: As in `draw_moments`.
        blocks: [B, L] the block of each place.
        moments: [C, B] of each copy.
    """
    masked = (steps >= 0) & (steps >= moments[..., None])
    active = torch.where(masked, blocks, NEVER).amin(-1, keepdim=True)
    return masked, masked & (blocks == active) & (steps < NEVER)


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
