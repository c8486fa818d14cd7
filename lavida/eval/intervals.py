"""Bootstrap intervals of means: how far a figure would move with other questions of the same kind (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

ROUNDS = 1000
LEVEL = 0.95


def interval(values: Sequence[float], *, rounds: int = ROUNDS, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean; the same for the same seed.

    Args:
        values: Of each question, at least one.
        rounds: Samples that are drawn with replacement.
        seed: Of the drawing.
    """
    table = torch.tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.randint(len(table), (len(table),), generator=generator) for _ in range(rounds))
    sampled = torch.stack([table[places].mean() for places in draws])
    edges = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    low, high = sampled.quantile(edges).tolist()
    return low, high


def paired_interval(
    ours: Sequence[float], theirs: Sequence[float], *, rounds: int = ROUNDS, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference on the same questions."""
    return interval([a - b for a, b in zip(ours, theirs, strict=True)], rounds=rounds, seed=seed)
