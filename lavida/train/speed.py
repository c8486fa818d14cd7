"""Measure the share of the machine that a step uses: its matrix products beside the fastest of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

# Side of the square matrices and repetitions: large enough to be at the peak, short enough to be no burden.
_SIZES = {"cpu": (1024, 8), "cuda": (8192, 10)}


def matmul_peak(device: torch.device | str, dtype: torch.dtype) -> float:
    """Measure the floating-point operations a second of a square matrix product; the best of a few."""
    kind = torch.device(device).type
    n, times = _SIZES.get(kind, _SIZES["cpu"])
    wait = torch.cuda.synchronize if kind == "cuda" else lambda: None
    a = torch.ones(n, n, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(times):
        wait()
        began = time.perf_counter()
        a @ a
        wait()
        best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best


def count_flops(work: Callable[[], None]) -> int:
    """Count the matrix products, convolutions and attention of `work`, uncompiled; keep the random generators."""
    counter = FlopCounterMode(display=False)
    with torch.random.fork_rng(range(torch.cuda.device_count())), torch.compiler.set_stance("force_eager"), counter:
        work()
    return counter.get_total_flops()
