"""Schedules: the number of tokens that each denoising step commits (section 3.4 of arXiv 2505.16839).

A schedule maps the time i / K of the forward process to the share of tokens masked by then; read backwards it says
how many tokens step k reveals. `shift` a: s(t) = a t / (1 + (a - 1) t); a < 1 (the paper's 1/3) reveals many tokens
early and few late, a > 1 the reverse. "timesteps" is Dream's own rule and "ancestral" its random form, in which each
mask falls independently of the others (arXiv 2406.07524).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lavida.diffusion import CURVES, DEFAULT_SHIFT, SCHEDULES
from lavida.errors import RequestError

LAST_TIME = 1e-3  # where Dream's grid of times ends


def masked_share(t: Tensor, schedule: str, shift: float = DEFAULT_SHIFT) -> Tensor:
    """Return the share of tokens masked at time t in 0..1, same shape as t."""
    if schedule == "linear":
        return t
    if schedule == "cosine":
        return 1 - (1 + torch.cos(math.pi * t)) / 2
    if schedule == "shift":
        return shift * t / (1 + (shift - 1) * t)
    if schedule == "logit_normal":
        return 0.5 * (1 + torch.erf(torch.logit(t) / math.sqrt(2)))
    raise RequestError(f"{schedule!r} is no curve over time; choose one of {', '.join(CURVES)}")


def unmask_counts(
    masks: int,
    steps: int,
    schedule: str,
    shift: float = DEFAULT_SHIFT,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Return the tokens to commit at each step; they sum to `masks`.

    "even" splits exactly, the remainder first, over `steps` entries (zeros at the end if steps > masks); "timesteps"
    and "ancestral" (which draws from `generator`) give `steps` entries, zeros anywhere. The others give
    min(steps, masks) entries of at least 1. Raises RequestError for an unknown schedule.
    """
    if masks < 0 or steps < 1:
        raise RequestError(f"cannot commit {masks} tokens in {steps} steps; steps must be at least 1")
    if schedule == "even":
        return [masks // steps + (i < masks % steps) for i in range(steps)]
    if schedule not in SCHEDULES:
        raise RequestError(f"unknown schedule {schedule!r}; choose one of {', '.join(SCHEDULES)}")
    if schedule == "timesteps":
        return timestep_counts(masks, steps)
    if schedule == "ancestral":
        return timestep_counts(masks, steps, generator=generator or torch.Generator().manual_seed(0))
    steps = min(steps, masks)
    # float32 and truncation on purpose: the published integers depend on both.
    done = (masks * masked_share(torch.linspace(0, 1, steps + 1), schedule, shift)).to(torch.int64)
    counts = (done[1:] - done[:-1]).clamp(min=1).tolist()
    surplus = sum(counts) - masks
    while surplus > 0:
        for i, count in enumerate(counts):
            if surplus > 0 and count > 1:
                counts[i] -= 1
                surplus -= 1
    if counts and surplus < 0:  # rounding left the end of the curve one short
        counts[-1] -= surplus
    return counts[::-1]


def timestep_counts(
    masks: int,
    steps: int,
    *,
    last_time: float = LAST_TIME,
    grid: int | None = None,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Return the tokens to commit at each of `steps` steps from t to s on a grid of times from 1 to `last_time`.

    Of the masks left, a share 1 - s / t: rounded down, or each mask by itself if there is a `generator` to draw with.
    The last step commits what is left. `grid` is the number of steps that the grid is made for, if it is not `steps`.
    """
    times = torch.linspace(1, last_time, (grid or steps) + 1)  # float32, as the published integers are
    counts, left = [], torch.tensor(float(masks))
    for t, s in list(zip(times, times[1:]))[: steps - 1]:
        share = 1 - s / t
        counts.append(int(torch.binomial(left, share, generator) if generator else left * share))
        left -= counts[-1]
    return [*counts, int(left)]
