"""Count the tokens that stay masked after each step where a canvas is filled from sure to unsure (arXiv 2202.04200).

The curves are those of MaskGIT: the share that stays masked at the progress r of 0..1.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor

from lavida.errors import RequestError

CURVES = ("cosine", "linear", "sigmoid")  # and pow with an exponent: pow2
_LEAST = 1e-6
_POWER = re.compile(r"pow(\d+(?:\.\d+)?)")


def masked_share(
    progress: Tensor, curve: str, *, start: float = -3.0, end: float = 3.0, tau: float = 1.0, clip_min: float = _LEAST
) -> Tensor:
    """Return the share of tokens that stays masked at a progress in 0..1, of the same shape.

    `start`, `end` and `tau` bend the sigmoid, and `clip_min` is its least value. Raises RequestError for an unknown
    curve.
    """
    power = _POWER.fullmatch(curve)
    if curve == "cosine":
        return torch.cos(progress * math.pi * 0.5)
    if curve == "linear":
        return (1 - progress).clamp(_LEAST, 1.0)
    if power:
        return (1.0 - progress ** float(power[1])).clamp(_LEAST, 1.0)
    if curve == "sigmoid":
        low, high = (torch.sigmoid(torch.tensor(at / tau)) for at in (start, end))
        at = torch.sigmoid((progress * (end - start) + start) / tau)
        return ((high - at) / (high - low)).clamp(clip_min, 1.0)
    raise RequestError(f"unknown curve {curve!r}; choose one of {', '.join(CURVES)}, or pow with an exponent: pow2")


def reveal_counts(masks: int, steps: int, curve: str, *, slots: int | None = None, **bent: float) -> list[int]:
    """Return the tokens to commit at each of min(steps, masks) steps, at least one each; they sum to `masks`.

    With `slots` it is done as in MMaDA's code: the curve counts all places of the picture, given ones included, so that
    the first steps may commit one token each; there are `steps` steps in any case; and one token is left for the last
    of them, whatever the steps before it then commit.

    Raises:
        RequestError: There is nothing to commit, or the curve is unknown.
    """
    if masks < 1 or steps < 1:
        raise RequestError(f"cannot commit {masks} tokens in {steps} steps; both must be at least 1")
    counts, left = [], masks
    steps = min(steps, masks) if slots is None else steps
    for step in range(steps):
        progress = torch.tensor((step + 1) / steps, dtype=torch.float32)
        share = masked_share(progress, curve, **bent)
        least = steps - step - 1 if slots is None else 1  # for the steps that follow
        kept = max(least, min(left - 1, int(torch.floor((slots or masks) * share))))
        counts.append(left - kept if step < steps - 1 else left)
        left -= counts[-1]
    return counts


def annealed(temperature: float, step: int, steps: int, *, cumulative: bool = False) -> float:
    """Return the temperature of a step, counted from 0, that falls to 0 at the last: T (1 - r) (arXiv 2202.04200).

    `cumulative` multiplies the temperature of the step before by (1 - r), as MMaDA's code does.
    """
    if not cumulative:
        return temperature * (1 - (step + 1) / steps)
    for earlier in range(step + 1):
        temperature *= 1 - (earlier + 1) / steps
    return temperature
