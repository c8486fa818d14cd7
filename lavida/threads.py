"""Number of CPU threads and the way they wait, chosen so that a busy machine does not stall them.

By default the threads of OpenMP spin while they wait for each other. Beside a process that keeps a core busy, a
spinning thread takes the core from the very thread that it waits for, and an answer takes up to fifty times as long.
Threads that sleep while they wait (passive waiting) do not stall, and neither does one thread alone. OpenMP reads the
waiting policy once, when PyTorch loads it; the number of threads can change later.

This module imports no PyTorch until `set_threads` is called.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from lavida.errors import RequestError

AUTO: Literal["auto"] = "auto"
Threads = int | Literal["auto"]

MAX_THREADS = 1024  # more of them take minutes to start
# One thread computes a model whose weights are smaller than this: with lavida-mini (46 MB) two threads that wait
# passively are no faster than one (docs/benchmarks.md).
SMALL_WEIGHTS = 400 * 2**20  # bytes
_WINDOW = 0.1  # seconds over which the load of other processes is measured
# Variables that set the waiting policy in GNU's and LLVM's OpenMP; one that the user has set is left alone.
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


def wait_passively() -> bool:
    """Make the OpenMP threads of this process and its children sleep while they wait; return whether they will.

    Works only before PyTorch is imported, and does nothing if the environment sets a waiting policy already.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _PASSIVE):
        os.environ.update(_PASSIVE)
    return waits_passively()


def waits_passively() -> bool:
    """Return whether the environment asks OpenMP's threads for passive waiting or a short spin."""
    spin = os.environ.get("GOMP_SPINCOUNT", "")
    if spin:
        return spin.isdecimal() and int(spin) <= 1000
    return os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"


def parse_threads(text: str | int) -> Threads:
    """Return "auto" or a number of threads. Raises RequestError for anything else."""
    if text == AUTO:
        return AUTO
    try:
        number = int(text)
    except (TypeError, ValueError):
        raise RequestError(f"threads must be a whole number or auto, got {text!r}") from None
    if isinstance(text, (bool, float)) or not 1 <= number <= MAX_THREADS:
        raise RequestError(f"threads must be at least 1 and at most {MAX_THREADS}, got {text}")
    return number


def set_threads(threads: Threads, weight_bytes: int) -> int:
    """Set PyTorch's number of threads for the whole process and return it; "auto" is that of `choose_threads`.

    Raises:
        RequestError: A number of threads that is out of range.
    """
    threads = parse_threads(threads)
    number = choose_threads(weight_bytes) if threads == AUTO else threads
    import torch

    torch.set_num_threads(number)
    return number


def choose_threads(weight_bytes: int) -> int:
    """Return the number of threads that suits a model of this size on this machine as it is loaded now.

    One for a small model. For a larger one, the cores that this process may use (affinity, cgroup quota,
    OMP_NUM_THREADS) and that other processes leave free; one less if OpenMP already runs with threads that spin, since
    these stall as soon as another process needs a core.
    """
    if weight_bytes < SMALL_WEIGHTS:
        return 1
    cores, quota = usable_cores(), _quota()
    free = min(cores - busy_cores(), cores if quota is None else quota) - (not waits_passively())
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    most = int(limit) if limit.isdecimal() and int(limit) else cores
    return max(1, min(most, int(free + 0.5), MAX_THREADS))


def usable_cores() -> int:
    """Return the number of cores that this process may run on, by its affinity."""
    return len(_affinity()) or os.cpu_count() or 1


def busy_cores(seconds: float = _WINDOW) -> float:
    """Measure how many of the usable cores other processes keep busy; 0 where the system does not tell."""
    before, own = _busy_seconds(), time.process_time()
    if before is None:
        return 0.0
    start = time.perf_counter()
    time.sleep(seconds)
    after, taken = _busy_seconds(), time.perf_counter() - start
    return 0.0 if after is None else max(0.0, (after - before - (time.process_time() - own)) / taken)


def _affinity() -> set[int]:
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()


def _busy_seconds() -> float | None:
    """Return the seconds that the usable cores have worked since the machine was started (Linux)."""
    cores, ticks = {f"cpu{core}" for core in _affinity()}, []
    try:
        for line in (_PROC / "stat").read_text().splitlines():
            name, *fields = line.split() or [""]
            if name in cores:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
                ticks.append(user + nice + system + irq + softirq + steal)
    except (OSError, ValueError):
        return None
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def _quota() -> float | None:
    """Return the cores that the cgroup of this process may use, from version 1 or 2, or None without a quota."""
    limits = []
    with suppress(OSError):
        for line in (_PROC / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = (line + "::").split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            roots = [_CGROUPS / controllers, _CGROUPS / "cpu"] if controllers else [_CGROUPS, _CGROUPS / "unified"]
            parts = Path(path.strip("/:"))
            limits += [_quota_of(root / folder) for root in roots for folder in (parts, *parts.parents)]
    return min((limit for limit in limits if limit is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if quota != "max" and float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
