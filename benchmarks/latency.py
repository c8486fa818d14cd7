"""How long an answer takes, by number of steps and by cache.

    make bench
    python benchmarks/latency.py --model my-model --rounds 9 --threads 2

All settings run in turn within each round, so that a slow moment of the machine meets all of them; ratios are taken
within a round. Early stopping is off: every setting runs all its steps.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import lavida

PHOTO = Path(lavida.__file__).parent / "assets" / "demo.jpg"
LENGTH = 32
SETTINGS = [(steps, cache) for cache in ("prefix", "none") for steps in (4, 8, 16, 32)]
BASE = (32, "prefix")


def spread(values: list[float], unit: str = "") -> str:
    """Median and range."""
    return f"{statistics.median(values):8.3f}{unit}  [{min(values):.3f} .. {max(values):.3f}]"


def command(args: list[str], rounds: int) -> list[float]:
    """Seconds of a whole process, from its start to its end."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lavida.cli.main", *args], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return taken


def warm(model: lavida.Model, rounds: int) -> tuple[dict[tuple[int, str], list[float]], list[float]]:
    """Seconds of each setting on a picture already seen, and of the first look at it."""
    seconds: dict[tuple[int, str], list[float]] = {setting: [] for setting in SETTINGS}
    first: list[float] = []
    for index in range(rounds + 1):  # round 0 warms up and is not counted
        model.forget()
        start = time.perf_counter()
        model.describe(PHOTO, length=1)
        looked = time.perf_counter() - start
        for steps, cache in SETTINGS:
            taken = model.describe(PHOTO, length=LENGTH, steps=steps, cache=cache, early_stop=False).seconds
            if index:
                seconds[steps, cache].append(taken)
        if index:
            first.append(looked)
    return seconds, first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    chosen = ["--model", args.model] if args.model else []
    model = lavida.load(args.model, threads=args.threads)
    seconds, first = warm(model, args.rounds)
    print(f"{torch.get_num_threads()} threads, canvas of {LENGTH} tokens, {args.rounds} rounds: median [min .. max]")
    print(f"lavida --help (process)      {spread(command(['--help'], 3), ' s')}")
    print(f"lavida describe (process)    {spread(command(['describe', str(PHOTO), *chosen], 3), ' s')}")
    print(f"first look at a picture      {spread(first, ' s')}")
    print("\nsteps  cache   seconds                            ratio to 32 steps, prefix cache")
    for steps, cache in SETTINGS:
        ratios = [a / b for a, b in zip(seconds[steps, cache], seconds[BASE], strict=True)]
        print(f"{steps:5d}  {cache:6s}{spread(seconds[steps, cache], ' s'):34s}  {spread(ratios)}")


if __name__ == "__main__":
    main()
