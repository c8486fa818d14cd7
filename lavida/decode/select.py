"""Which tokens a step proposes and which of them it commits: pure functions of the logits (float64 inside)."""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.errors import RequestError


def propose(logits: Tensor, mask_id: int, temperature: float, generator: torch.Generator) -> Tensor:
    """Candidate ids [n] of logits [n, V], never the mask itself.

    With a temperature T this is the Gumbel-max trick, argmax(logits - T log(-log u)), in float64 as arXiv 2409.02908
    advises; at T = 0 the plain argmax, and no random number is drawn.
    """
    scores = logits.double()
    if temperature > 0:
        u = torch.rand(scores.shape, generator=generator, dtype=torch.float64, device=generator.device).to(
            scores.device
        )
        scores = scores - temperature * torch.log(-torch.log(u.clamp(min=torch.finfo(torch.float64).tiny)))
    scores[:, mask_id] = -torch.inf
    return scores.argmax(-1)


def confidence(logits: Tensor, candidates: Tensor, measure: str, generator: torch.Generator) -> Tensor:
    """How sure the model is [n], larger = surer, from its noiseless logits [n, V].

    "confidence": probability of the candidate; "margin": of the likeliest token less the second; "entropy": minus
    the entropy; "random": a uniform number.
    """
    if measure == "random":
        return torch.rand(len(logits), generator=generator, dtype=torch.float64, device=generator.device).to(
            logits.device
        )
    p = torch.softmax(logits.double(), -1)
    if measure == "confidence":
        return p.gather(-1, candidates[:, None])[:, 0]
    if measure == "margin":
        first, second = p.topk(2, dim=-1).values.unbind(-1)
        return first - second
    if measure == "entropy":
        return (p * torch.log(p + 1e-10)).sum(-1)
    raise RequestError(f"unknown remasking {measure!r}; choose confidence, margin, entropy or random")


def surest(scores: Tensor, count: int) -> Tensor:
    """Positions [min(count, open)] of the largest `scores` [L], among those above -inf."""
    count = min(count, int((scores > -torch.inf).sum()))
    return scores.topk(count).indices
