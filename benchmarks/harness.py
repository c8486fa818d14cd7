"""Parts that benchmarks share: arms that run in turn, ratios taken within a round, results that are kept.

All arms run once in each round, in a new order each time, so that a slow moment of the machine meets all of them. A
ratio compares two arms of one round; its spread is what the machine did to it, not what it did to the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import lavida
from benchmarks.chart import draw
from benchmarks.report import Report
from lavida.decode.calibration import processor

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "benchmarks"
PHOTO = Path(lavida.__file__).parent / "assets" / "demo.jpg"
LEAST_ROUNDS = 3  # fewer have no spread worth the name


def interleave(
    arms: Mapping[Hashable, Callable[[], float | None]],
    *,
    rounds: int,
    seconds: float,
    seed: int = 0,
    least: int = LEAST_ROUNDS,
) -> dict[Hashable, list[float]]:
    """Run all arms in rounds; return what each gave: the number it returned, or else the seconds it took.

    A round that is not counted comes first. Ends after `rounds`, or when another would take longer than is left of
    `seconds`, but not before `least` rounds.
    """
    found: dict[Hashable, list[float]] = {name: [] for name in arms}
    order, rng, begin = list(arms), random.Random(seed), time.perf_counter()
    for turn in range(-1, rounds):
        spent = time.perf_counter() - begin
        if turn >= least and spent * (turn + 2) / (turn + 1) > seconds:
            break
        rng.shuffle(order)
        for name in order:
            start = time.perf_counter()
            given = arms[name]()
            taken = time.perf_counter() - start
            if turn >= 0:
                found[name].append(taken if given is None else given)
    return found


def faster(values: Sequence[float], base: Sequence[float]) -> tuple[float, ...]:
    """How many times as fast as the base, round by round."""
    return tuple(b / a for a, b in zip(values, base, strict=True))


def spread(values: Sequence[float]) -> str:
    """Median and range, three digits each; a dash of nothing."""
    if not values:
        return "-"
    low, middle, high = (_digits(f(values)) for f in (min, statistics.median, max))
    return middle if len(values) == 1 else f"{middle} [{low} .. {high}]"


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def environment() -> dict[str, Any]:
    """Return the machine and the code, as far as they matter to a time."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--", "lavida", "benchmarks")),
        "processor": processor(),
        "cores": os.cpu_count(),
        "gpu": cuda,
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "busy_before": _busy_cores(),
    }


def _busy_cores(seconds: float = 0.5) -> float | None:
    """Cores that other processes use while this one waits; None where the system does not tell."""
    before = _working()
    if before is None:
        return None
    time.sleep(seconds)
    return round((_working() - before) / seconds, 2)


def _working() -> float | None:
    """Seconds that all cores together have worked since the machine was started (Linux)."""
    try:
        user, nice, system, _idle, _wait, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    except (OSError, ValueError):
        return None
    return (user + nice + system + sum(rest[:2])) / os.sysconf("SC_CLK_TCK")


def _git(*args: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True)
    return done.stdout.strip()


def markdown(reports: Sequence[Report]) -> str:
    """All reports as one table."""
    lines = ["| benchmark | setting | measured | ratio | beside |", "|---|---|---|---|---|"]
    for report in reports:
        for row in report.rows:
            facts = ", ".join(f"{name} {_fact(value)}" for name, value in row.facts.items())
            lines.append(
                f"| {report.name} | {row.name} | {spread(row.values)} {report.y} | {spread(row.ratios)} | {facts} |"
            )
    return "\n".join(lines) + "\n"


def _fact(value: Any) -> str:
    return _digits(value) if isinstance(value, float) else str(value)


def write(report: Report, folder: Path) -> None:
    """Write NAME.json, and NAME.png if matplotlib is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{report.name}.json").write_text(json.dumps(asdict(report), indent=1) + "\n")
    draw(report, folder / f"{report.name}.png")


def parser(doc: str, *, rounds: int = 7, seconds: float = 60) -> argparse.ArgumentParser:
    """Return the options that all benchmarks have."""
    options = argparse.ArgumentParser(description=doc.splitlines()[0])
    options.add_argument("--model", help="name or folder; default: lavida-mini")
    options.add_argument("--rounds", type=int, default=rounds, help="at most so many")
    options.add_argument("--seconds", type=float, default=seconds, help="begin no round that would end later than this")
    options.add_argument("--threads", type=int, default=None, help="CPU threads of PyTorch")
    options.add_argument("--small", action="store_true", help="a few small settings, to see that it runs")
    options.add_argument("--out", type=Path, default=OUT, help="where the JSON and the PNG go")
    return options


def some(values: Sequence[Any], args: argparse.Namespace) -> Sequence[Any]:
    """All of the settings, or the first two."""
    return values[:2] if args.small else values


def finish(report: Report, out: Path, env: Mapping[str, Any]) -> None:
    """Show a report and keep it."""
    report = Report(**{**vars(report), "environment": dict(env)})
    print(f"{report.title}\n{' '.join(f'{k}={v}' for k, v in env.items())}\n")
    for row in report.rows:
        facts = "  ".join(f"{name} {_fact(value)}" for name, value in row.facts.items())
        ratio = f"  x {spread(row.ratios)}" if row.ratios else ""
        print(f"{row.name:32s} {spread(row.values):30s} {report.y}{ratio}  {facts}".rstrip())
    for note in ((f"ratio: times as good as {report.base}",) if report.base else ()) + report.notes:
        print(note)
    write(report, out)
