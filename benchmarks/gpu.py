"""Measure one large GPU in at most 12 minutes: random weights of 8 billion parameters, and one table of what they take.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --code LaViDa --python LaViDa/env/bin/python --model FOLDER   # the official code too
    python -m benchmarks.gpu --device cpu --scale tiny --minutes 1                         # does it run?

The weights are made on the device. Each part has a share of the time; one for which too little is left is skipped, one
that fails is a line of the table, and the run goes on. What was measured is written after each part, and when the time
is up: OUT/gpu.md and OUT/gpu.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_parts
from benchmarks.gpu_parts import SIZES, Bench, random_model
from benchmarks.harness import environment, markdown
from benchmarks.report import Report

MINUTES = 12.0
RESERVE = 10.0  # seconds that are kept to write the table


@dataclass(frozen=True, kw_only=True)
class Part:
    """Hold a measurement and its share of the time."""

    name: str
    seconds: float  # of `MINUTES`; less in proportion where there are fewer
    run: Callable[[Bench, float], Report]
    least: float = 0.3  # the share of `seconds` without which it is skipped


PARTS = (
    Part(name="bandwidth", seconds=15, run=gpu_parts.copying),
    Part(name="step", seconds=80, run=gpu_parts.step),
    Part(name="prefix", seconds=80, run=gpu_parts.prefix),
    Part(name="graphs", seconds=80, run=gpu_parts.graphs),
    Part(name="first_image", seconds=60, run=gpu_parts.first_image),
    Part(name="engine", seconds=150, run=gpu_parts.batches),
    Part(name="int8", seconds=60, run=gpu_parts.int8),
    Part(name="official", seconds=120, run=gpu_parts.official),
)
BUILD = 55.0  # seconds for the weights


@dataclass(kw_only=True)
class Table:
    """Hold what was found: reports, and a line for each part without one."""

    out: Path
    environment: Mapping[str, Any]
    found: list[Report | tuple[str, str]] = field(default_factory=list)
    current: str = "weights"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, one: Report | tuple[str, str]) -> None:
        """Add a report, or a part's name and why it has none, and write everything."""
        with self.lock:
            self.found.append(one)
            self._write()

    def markdown(self) -> str:
        """Return the table."""
        head, lines = markdown([]).rstrip("\n"), []
        for one in self.found:
            if isinstance(one, Report):
                lines += markdown([one]).splitlines()[2:]
            else:
                lines.append(f"| {one[0]} | {one[1]} | - | - |  |")
        return "\n".join([head, *lines]) + "\n"

    def _write(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        said = [asdict(one) if isinstance(one, Report) else {"name": one[0], "reason": one[1]} for one in self.found]
        facts = "".join(f"- {name}: {value}\n" for name, value in self.environment.items())
        (self.out / "gpu.md").write_text(f"{self.markdown()}\n{facts}", encoding="utf-8")
        text = json.dumps({"environment": dict(self.environment), "parts": said}, indent=1)
        (self.out / "gpu.json").write_text(text + "\n", encoding="utf-8")

    def stop(self) -> None:
        """Write that the time is up, and end the process, whatever it is doing."""
        self.add((self.current, "stopped: the time is up"))
        print(self.markdown(), flush=True)
        os._exit(1)


def run_parts(
    parts: Sequence[Part], bench: Bench, table: Table, *, end: float, scale: float, now: Callable[[], float]
) -> None:
    """Run each part in its share of the time until `end`; a part that fails or is skipped is a line of the table."""
    for part in parts:
        table.current, share, left = part.name, part.seconds * scale, end - now()
        if left < part.least * share:
            table.add((part.name, f"skipped: {max(0.0, left):.0f} s are left, and it needs {part.least * share:.0f}"))
            continue
        print(f"-- {part.name}, {min(share, left):.0f} s", flush=True)
        try:
            table.add(part.run(bench, min(share, left)))
        except Exception as error:
            words = " ".join(str(error).split())[:160].replace("|", "/")
            table.add((part.name, f"failed: {type(error).__name__}: {words}"))
        _free(bench)


def _free(bench: Bench) -> None:
    """Let go of what a part has left."""
    bench.model.forget()
    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [part.name for part in PARTS]
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", default="8b", choices=SIZES)
    parser.add_argument("--family", default="lavida-llada", choices=("lavida-llada", "lavida-dream", "llada-v"))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of everything")
    parser.add_argument("--only", nargs="+", choices=names, help="parts; default: all")
    parser.add_argument("--code", type=Path, help="checkout of the official repository")
    parser.add_argument("--python", help="interpreter of an environment made for it")
    parser.add_argument("--model", type=Path, help="checkpoint that the official code and ours load")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    begin, args = time.monotonic(), options(argv)
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU here; --device cpu --scale tiny tries the parts that need none", file=sys.stderr)
        return 2
    theirs = {name: getattr(args, name) for name in ("code", "python", "model")}
    if any(theirs.values()) and not all(theirs.values()):
        print("the official code needs --code, --python and --model", file=sys.stderr)
        return 2
    end, scale = begin + 60 * args.minutes, args.minutes / MINUTES
    table = Table(out=args.out, environment=environment())
    watch = threading.Timer(max(0.0, end - RESERVE * scale - time.monotonic()), table.stop)
    watch.daemon = True
    watch.start()
    try:
        bench = Bench(
            model=random_model(args.family, args.scale, device), sizes=SIZES[args.scale], device=device, out=args.out,
            official={name: str(value) for name, value in theirs.items() if value},
        )  # fmt: skip
        parts = [part for part in PARTS if part.name in (args.only or [p.name for p in PARTS])]
        if not bench.official:
            parts = [part for part in parts if part.name != "official"]
        run_parts(parts, bench, table, end=end - 2 * RESERVE * scale, scale=scale, now=time.monotonic)
    finally:
        watch.cancel()
    print(f"\n{table.markdown()}\n{(time.monotonic() - begin) / 60:.1f} minutes; {args.out}/gpu.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
