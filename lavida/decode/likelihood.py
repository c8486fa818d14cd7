"""Log-likelihood of a given answer by Monte Carlo, for multiple choice and for comparing models.

The estimate is of the bound that masked diffusion trains on (eq. 14 of arXiv 2502.09992): with l uniform on 1..n
and S a random set of l of the n answer tokens, log p >= -E[(n / l) * sum over S of CE(token | the others)]. Two
estimators of it, both unbiased and both stratified over l:

"single": LLaDA's own, one random set per pass.
"pairs": a set and its complement, as in training (section 3.3 of arXiv 2505.16839), so that each pair predicts every
token once; l = n, which has no complement, is the same for all draws and is computed exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.decode.prompt import Prompt
from lavida.decode.select import check_numbers
from lavida.diffusion.masking import apply_mask
from lavida.errors import RequestError, check_seed

ESTIMATORS = ("pairs", "single")
_ROWS = 64  # canvases that go through the denoiser together, at most


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Hold an estimate in nats; `error` is its standard error, 0 if all masks were enumerated."""

    value: float
    error: float
    tokens: int  # of the answer
    passes: int  # canvases that went through the denoiser


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Compare several answers to one prompt; `probabilities` add up to 1, as if there were no other answer."""

    best: int  # index of the likeliest
    likelihoods: tuple[Likelihood, ...]
    probabilities: tuple[float, ...]
    errors: tuple[float, ...]  # standard errors of the probabilities


@torch.no_grad()
def log_likelihood(
    prompt: Prompt,
    answer: Tensor,
    *,
    estimator: str = "pairs",
    rounds: int = 8,
    batch: int = 16,
    seed: int = 0,
) -> Likelihood:
    """Estimate a bound on log p(answer | prompt), in nats; of an autoregressive model, compute the value itself.

    Each of `rounds` independent rounds averages `batch` stratified canvases, computed together; the standard error is
    that of the rounds' mean. An answer with no more masks than that is enumerated instead.

    Args:
        prompt: Read with a prefix cache for models that are asked with one, else with every canvas.
        answer: Token ids [n].
        estimator: "pairs" or "single".
        rounds: At least 2.
        batch: Even, at least 2.
        seed: Of the masks.

    Raises:
        RequestError: The answer is empty or an option is out of range.
    """
    if estimator not in ESTIMATORS:
        raise RequestError(f"unknown estimator {estimator!r}; choose one of {', '.join(ESTIMATORS)}")
    _check_size(rounds, batch)
    if answer.dim() != 1 or not len(answer):
        raise RequestError("the answer holds no token; give a row of at least one id")
    check_seed(seed)
    if prompt.net.config.denoiser.autoregressive:
        return _next_tokens(prompt, answer)
    n, generator = len(answer), torch.Generator().manual_seed(seed)
    losses = partial(_losses, prompt, answer)
    if 2**n - 1 <= rounds * batch:
        return Likelihood(value=-_enumerated(losses, n, batch).item(), error=0.0, tokens=n, passes=2**n - 1)
    draw = _pairs if estimator == "pairs" else _single
    values = draw(losses, n, rounds, batch, generator)
    return Likelihood(
        value=-values.mean().item(),
        error=(values.std() / math.sqrt(rounds)).item(),
        tokens=n,
        passes=rounds * batch + (estimator == "pairs"),
    )


def choose(prompt: Prompt, answers: Sequence[Tensor], *, by_token: bool = False, **options: Any) -> Choice:
    """Compare several answers [n_i] by their likelihoods; `options` of `log_likelihood`. Raises RequestError.

    `by_token` divides by the answers' lengths.
    """
    if not answers:
        raise RequestError("there is no answer to choose from; give at least one")
    found = tuple(log_likelihood(prompt, answer, **options) for answer in answers)
    lengths = torch.tensor([one.tokens if by_token else 1 for one in found])
    scores = torch.tensor([one.value for one in found], dtype=torch.float64) / lengths
    p = scores.softmax(0)
    # To first order dp_i = p_i (ds_i - sum_j p_j ds_j), the estimates taken as independent.
    slopes = p[:, None] * (torch.eye(len(p)) - p)
    errors = slopes.mul(torch.tensor([one.error for one in found]) / lengths).norm(dim=1)
    return Choice(
        best=int(scores.argmax()), likelihoods=found, probabilities=tuple(p.tolist()), errors=tuple(errors.tolist())
    )


@torch.no_grad()
def common_log_likelihoods(
    prompt: Prompt, answers: Tensor, *, rounds: int = 8, batch: int = 16, seed: int = 0
) -> Tensor:
    """Estimate the bound [C] of each of the answers [C, n] under the same masks, which makes differences surer.

    The canvases of all answers are computed together. Arguments as in `log_likelihood`.
    """
    _check_size(rounds, batch)
    n, generator = answers.shape[1], torch.Generator().manual_seed(seed)
    losses = partial(_losses, prompt, answers)
    if 2**n - 1 <= rounds * batch:
        return -_enumerated(losses, n, batch)
    return -_pairs(losses, n, rounds, batch, generator).mean(0)


def stratified_sizes(most: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw set sizes [count], each uniform on 1..most, evenly spread around the circle from a common random start."""
    start = int(torch.randint(most, (1,), generator=generator))
    # Whole offsets: rounding halves to even, as the published code does, would favour even sizes.
    return (start + torch.arange(count) * most // count) % most + 1


def _check_size(rounds: int, batch: int) -> None:
    whole = type(rounds) is int and type(batch) is int
    if not whole or rounds < 2 or batch < 2 or batch % 2:
        raise RequestError(f"rounds must be at least 2 and batch even, got {rounds!r} and {batch!r}")


def random_sets(n: int, sizes: Tensor, generator: torch.Generator) -> Tensor:
    """Draw masks [B, n] with exactly `sizes` [B] random positions each."""
    rank = torch.rand(len(sizes), n, generator=generator).argsort(1).argsort(1)
    return rank < sizes[:, None]


def _next_tokens(prompt: Prompt, answer: Tensor) -> Likelihood:
    """Compute the log-likelihood itself: each token given those before it, in one pass."""
    denoiser = prompt.net.denoiser
    ids = answer.to(denoiser.device)
    hidden = prompt.hidden(ids[None])[0]
    losses = F.cross_entropy(denoiser.head(hidden).float(), ids, reduction="none")
    check_numbers(losses)
    value = -losses.double().sum().item()
    return Likelihood(value=value, error=0.0, tokens=len(ids), passes=1)


Losses = Callable[[Tensor], Tensor]  # masks [B, n] -> cross-entropy [..., B, n] of the masked tokens, 0 elsewhere


def _single(losses: Losses, n: int, rounds: int, batch: int, generator: torch.Generator) -> Tensor:
    """Draw estimates [rounds, ...] of the bound."""
    values = []
    for _ in range(rounds):
        sizes = stratified_sizes(n, batch, generator)
        values.append((n / sizes * losses(random_sets(n, sizes, generator)).sum(-1)).mean(-1))
    return torch.stack(values)


def _pairs(losses: Losses, n: int, rounds: int, batch: int, generator: torch.Generator) -> Tensor:
    """Draw estimates [rounds, ...] of the bound."""
    whole = losses(torch.ones(1, n, dtype=torch.bool)).sum((-2, -1))
    values = []
    for _ in range(rounds):
        sizes = stratified_sizes(n - 1, batch // 2, generator)
        masks = random_sets(n, sizes, generator)
        masks, sizes = torch.cat((masks, ~masks)), torch.cat((sizes, n - sizes))
        values.append((n - 1) / n * (n / sizes * losses(masks).sum(-1)).mean(-1) + whole / n)
    return torch.stack(values)


def _losses(prompt: Prompt, answers: Tensor, masks: Tensor) -> Tensor:
    """Compute the cross-entropy [..., B, n] of answers [..., n] under `masks` [B, n], float64, 0 where not masked."""
    denoiser = prompt.net.denoiser
    device, (count, n) = denoiser.device, masks.shape
    shape = (*answers.shape[:-1], count, n)
    ids = answers.to(device)[..., None, :].expand(shape).reshape(-1, n)
    masks = masks.to(device).expand(shape).reshape(-1, n)
    parts = []
    for some, hidden_ids in zip(masks.split(_ROWS), ids.split(_ROWS), strict=True):
        hidden = prompt.hidden(apply_mask(hidden_ids, some, prompt.mask_id))
        ce = F.cross_entropy(denoiser.head(hidden[some]).float(), hidden_ids[some], reduction="none")
        check_numbers(ce)
        parts.append(torch.zeros(some.shape, device=device).masked_scatter(some, ce).double().cpu())
    return torch.cat(parts).view(shape)


def _enumerated(losses: Losses, n: int, batch: int) -> Tensor:
    """Compute the bounds [...] themselves: the mean over l of (n / l) times the mean loss of all sets of l tokens."""
    codes = torch.arange(1, 2**n)
    masks = (codes[:, None] >> torch.arange(n)) % 2 == 1
    sums = torch.cat([losses(part).sum(-1) for part in masks.split(batch)], -1)
    size = masks.sum(1)
    weight = torch.tensor([1 / (k * math.comb(n, k)) for k in size.tolist()], dtype=torch.float64)
    return (weight * sums).sum(-1)
