"""Select what a step proposes and what it commits: pure functions of logits, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from lavida.errors import CheckpointError, RequestError


def forbid(logits: Tensor, ids: Sequence[int]) -> Tensor:
    """Return logits [n, V] in float64 that give the tokens `ids` no probability. RequestError for an id beyond V."""
    if not ids:
        return logits.double()
    return logits.double() + ban(tuple(ids), logits.shape[-1], logits.device)


@lru_cache(maxsize=8)
def ban(ids: tuple[int, ...], vocab_size: int, device: torch.device) -> Tensor:
    """Return what to add to logits so that the tokens `ids` have no probability: [V], 0 or -inf."""
    if max(ids) >= vocab_size:
        raise RequestError(f"the banned id {max(ids)} lies outside the vocabulary of {vocab_size}; leave it out")
    with torch.inference_mode(False):
        return torch.zeros(vocab_size).index_fill(0, torch.tensor(ids), -torch.inf).to(device)


def narrow(
    logits: Tensor, temperature: float, top_p: float | None, top_k: int | None, *, mask_id: int | None = None
) -> Tensor:
    """Return logits [n, V] with -inf for all but the likeliest tokens of softmax(logits / temperature); 0 counts as 1.

    `top_p` keeps the fewest tokens whose total probability exceeds it; `top_k` keeps so many, and equals of the last.
    The likeliest token that is not the mask, which is never written, is kept in any case.
    """
    if top_p is None and top_k is None:
        return logits
    whole = logits
    if top_p is not None:
        ordered, order = logits.sort(descending=True)
        before = (ordered / (temperature or 1)).softmax(-1).cumsum(-1).roll(1, -1)  # probability of all likelier tokens
        before[:, :1] = 0
        logits = logits.masked_fill(
            torch.empty_like(order, dtype=torch.bool).scatter(-1, order, before > top_p), -torch.inf
        )
    if top_k is not None:
        last = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < last, -torch.inf)
    if mask_id is not None:
        best = whole.index_fill(-1, torch.tensor([mask_id], device=whole.device), -torch.inf).argmax(-1, keepdim=True)
        logits = logits.scatter(-1, best, whole.gather(-1, best))
    return logits


def perturb(
    logits: Tensor,
    mask_id: int | None,
    temperature: float,
    generator: torch.Generator,
    gumbel: Tensor | None = None,
) -> Tensor:
    """Return logits [n, V] in float64 whose argmax is the token to propose; that of the mask is -inf.

    With a temperature T this is the Gumbel-max trick, logits - T log(-log u), in float64 as arXiv 2409.02908 advises:
    its argmax is a sample of softmax(logits / T). At T = 0 no random number is drawn. `gumbel` [n, V] takes the place
    of noise that is drawn here, -log(-log u).
    """
    scores = logits.double().clone()
    if temperature > 0:
        scores = scores + temperature * (_gumbel(scores, generator) if gumbel is None else gumbel)
    if mask_id is not None:
        scores[:, mask_id] = -torch.inf
    return scores


def propose(logits: Tensor, mask_id: int, temperature: float, generator: torch.Generator) -> Tensor:
    """Return candidate ids [n] of logits [n, V], never the mask itself: the likeliest, or a sample (`perturb`)."""
    return perturb(logits, mask_id, temperature, generator).argmax(-1)


def check_numbers(values: Tensor) -> None:
    """Raise CheckpointError if what a model computed holds NaN."""
    if values.isnan().any():
        raise CheckpointError("the model computes NaN where it should predict a token; its weights are damaged")


def confidence(
    logits: Tensor,
    candidates: Tensor,
    measure: str,
    generator: torch.Generator | None,
    uniform: Tensor | None = None,
) -> Tensor:
    """Compute the confidence [n], larger = more certain, from noiseless logits [n, V].

    "confidence": probability of the candidate; "margin": of the likeliest token less the second; "entropy": minus
    the entropy; "random": a uniform number, `uniform` [n] if it is given.
    """
    if measure == "random":
        drawn = _uniform(logits[:, 0], generator) if uniform is None else uniform
        return drawn.masked_fill(logits.isnan().any(-1), torch.nan)
    p = torch.softmax(logits.double(), -1)
    if measure == "confidence":
        return p.gather(-1, candidates[:, None])[:, 0]
    if measure == "margin":
        first, second = p.topk(2, dim=-1).values.unbind(-1)
        return first - second
    if measure == "entropy":
        return (p * torch.log(p + 1e-10)).sum(-1)
    raise RequestError(f"unknown remasking {measure!r}; choose confidence, margin, entropy or random")


def adaptive_count(
    scores: Tensor,
    least: int,
    *,
    threshold: float | None = None,
    factor: float | None = None,
    entropy_bound: float | None = None,
) -> int:
    """Count how many of `scores` [n] to commit: `least`, or as many of the largest as the given rule allows.

    `threshold` and `factor` compare probabilities (arXiv 2505.22618), `entropy_bound` minus entropies (2505.24857).
    """
    if threshold is None and factor is None and entropy_bound is None:
        return least  # without a rule nothing is sorted
    ordered = scores.sort(descending=True).values
    if threshold is not None:
        allowed = ordered >= threshold
    elif factor is not None:
        allowed = torch.arange(2, len(ordered) + 2, device=ordered.device) * (1 - ordered) < factor
    elif entropy_bound is not None:  # the largest entropy of so many is that of the last
        allowed = -(ordered.cumsum(0) - ordered) <= entropy_bound
    else:
        return least
    return max(least, int(allowed.int().cumprod(0).sum()))


def select_positions(
    scores: Tensor,
    count: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    gumbel: Tensor | None = None,
) -> Tensor:
    """Return the indices of the `count` largest of `scores` [n].

    With a temperature they are drawn one after the other from softmax(scores / temperature) (arXiv 1903.06059);
    `gumbel` [n] takes the place of the noise that is drawn for it.
    """
    if temperature > 0:
        scores = scores.double() / temperature + (_gumbel(scores, generator) if gumbel is None else gumbel)
    return scores.topk(min(count, len(scores))).indices


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = "cpu" if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, dtype=torch.float64, device=device).to(like.device)


def _gumbel(like: Tensor, generator: torch.Generator | None) -> Tensor:
    u = _uniform(like, generator).clamp(min=torch.finfo(torch.float64).tiny)
    return -torch.log(-torch.log(u))
