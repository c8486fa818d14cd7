"""Tell what answers cost, and their accuracy by confidence: forward passes, latency, reliability bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Hold the answers whose confidences lie in one stretch."""

    count: int
    confidence: float  # mean
    accuracy: float


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Return the bins of equal width that hold an answer, in order, as `calibration_error` has them."""
    held: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for confidence, correct in zip(confidences, right, strict=True):
        held[min(bins - 1, int(confidence * bins))].append((confidence, correct))
    return [
        Bin(
            count=len(part),
            confidence=sum(confidence for confidence, _ in part) / len(part),
            accuracy=sum(correct for _, correct in part) / len(part),
        )
        for part in held
        if part
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies, between neighbours by proportion; nan of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def cost_figures(steps: Sequence[int], tokens: Sequence[int]) -> dict[str, float]:
    """Return NFE (mean forward passes of an answer), mean tokens of an answer, and tokens per forward pass.

    The last is the ratio of the sums, so that a long answer weighs more than a short one.
    """
    total = sum(steps)
    return {
        "nfe": total / len(steps) if steps else math.nan,
        "tokens": sum(tokens) / len(tokens) if tokens else math.nan,
        "tokens_per_forward": sum(tokens) / total if total else math.nan,
    }


def latency_figures(seconds: Sequence[float]) -> dict[str, float]:
    """Return mean, median and 95th percentile of the seconds that answers took, each alone and after a warm-up."""
    mean = sum(seconds) / len(seconds) if seconds else math.nan
    return {"mean": mean, "median": percentile(seconds, 0.5), "p95": percentile(seconds, 0.95)}
