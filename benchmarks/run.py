"""All benchmarks, each in a process of its own, and one table of what they found.

    make bench
    python -m benchmarks.run --twin runs/twin/model --data build/mini
    python -m benchmarks.run --only latency prefix --seconds 30

Writes docs/benchmarks/NAME.json and NAME.png, and the table into docs/benchmarks.md. Those that need a twin or the
built data are left out without them, and what an earlier run found of them stays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import OUT, ROOT, markdown
from benchmarks.report import Report

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- table: make bench -->", "<!-- end of table -->"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A module of this package and its share of the time."""

    name: str
    seconds: float  # of rounds, as `--seconds` says
    besides: float = 20  # to load, to warm up, and for what is not done in rounds
    needs: tuple[str, ...] = ()  # options without which it cannot run


BENCHMARKS = (
    Benchmark(name="cold_start", seconds=60, besides=15),
    Benchmark(name="latency", seconds=40),
    Benchmark(name="canvas", seconds=40),
    Benchmark(name="images", seconds=40),
    Benchmark(name="batching", seconds=60),
    Benchmark(name="backends", seconds=40),
    Benchmark(name="prefix", seconds=100, besides=30),
    Benchmark(name="pass_memory", seconds=0, besides=80),
    Benchmark(name="twin", seconds=60, besides=110, needs=("twin",)),
    Benchmark(name="adaptive", seconds=0, besides=110, needs=("data",)),
)
BUDGET = 15 * 60  # seconds of everything on two cores


def command(one: Benchmark, args: argparse.Namespace) -> list[str]:
    """How a benchmark is called."""
    made = [sys.executable, "-m", f"benchmarks.{one.name}", "--out", str(args.out)]
    made += ["--seconds", str(one.seconds if args.seconds is None else args.seconds)]
    for name in ("model", "threads", "rounds"):
        if getattr(args, name) is not None:
            made += [f"--{name}", str(getattr(args, name))]
    for name in ("twin", "data"):
        if getattr(args, name) and (name in one.needs or (one.name, name) == ("twin", "data")):
            made += [f"--{name}", str(getattr(args, name))]
    return made + ["--small"] * args.small


def skipped(one: Benchmark, args: argparse.Namespace) -> str | None:
    """Why a benchmark is left out, if it is."""
    if args.only and one.name not in args.only:
        return "not asked for"
    if not (ROOT / "benchmarks" / f"{one.name}.py").exists():
        return "not in this checkout"
    missing = [name for name in one.needs if getattr(args, name) is None]
    return f"needs --{missing[0]}" if missing else None


def write_page(reports: list[Report], page: Path) -> None:
    """Put the table between its marks, and the charts behind it."""
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    charts = "".join(f"![{r.title}](benchmarks/{r.name}.png)\n" for r in reports)
    said = "".join(f"- {_where(report)}\n" for report in reports)
    made = f"{BEGIN}\n{markdown(reports)}\n{said}\n{charts}{END}"
    page.write_text(f"{head}{made}{tail}", encoding="utf-8")


def _where(report: Report) -> str:
    e = report.environment
    busy = e["busy_before"] or 0
    return (
        f"`{report.name}`: commit {e['commit']}{' with changes' if e['changed'] else ''}, {e['date'][:10]}, "
        f"{e['processor']}, {e['threads']} threads of {e['cores']} cores, torch {e['torch']}"
        + (f"; others used {busy:g} cores when it began, so its times are not final" if busy > 0.25 else "")
        + "."
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[one.name for one in BENCHMARKS])
    parser.add_argument("--model", help="name or folder; default: lavida-mini")
    parser.add_argument("--twin", type=Path, help="folder of the autoregressive twin")
    parser.add_argument("--data", type=Path, help="what `python -m mini build` made")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each, instead of its share")
    parser.add_argument("--small", action="store_true", help="a few small settings, to see that it runs")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", type=Path, default=PAGE)
    return parser.parse_args()


def main() -> int:
    args, failed, begin = options(), [], time.monotonic()
    for one in BENCHMARKS:
        reason = skipped(one, args)
        if reason:
            print(f"-- {one.name}: {reason}", flush=True)
            continue
        print(f"-- {one.name}", flush=True)
        if subprocess.run(command(one, args), cwd=ROOT).returncode:
            failed.append(one.name)
    paths = [args.out / f"{one.name}.json" for one in BENCHMARKS]
    reports = [Report.from_json(json.loads(path.read_text())) for path in paths if path.exists()]
    write_page(reports, args.page)
    print(f"\n{markdown(reports)}\n{(time.monotonic() - begin) / 60:.1f} minutes")
    for name in failed:
        print(f"{name} failed; its words are above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
