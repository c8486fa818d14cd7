"""Seconds of an answer on a busy machine and on an idle one, by number of threads and waiting policy.

python -m benchmarks.busy

On the busy machine one process for each core counts without end; the benchmark starts them and ends them. All arms are
processes of their own that run in turn: the command line, a library's user with `threads="auto"` and a server, each as
it is by default and with one thread that waits passively, with which the ratios compare. Spinning threads, PyTorch's
default, are given up after `LIMIT` seconds. On the idle machine the ratios compare with those.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from benchmarks.harness import PHOTO, environment, finish, interleave, parser
from benchmarks.report import Report, Row
from benchmarks.serving import chat, picture, serving
from lavida.threads import usable_cores

QUESTION = "What is this?"
ANSWERS = 5  # of a process; the median counts
LIMIT = 10.0  # seconds after which a process is given up; it then counts as this long
_OPENMP = ("OMP_", "GOMP_", "KMP_")
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
_LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100000))"
_LIBRARY = f"""
import json, sys, time
import torch
import lavida
threads, model = json.loads(sys.argv[1])
model = lavida.load(model, threads=threads)
seconds = []
for turn in range({ANSWERS} + 1):
    model.forget()
    start = time.perf_counter()
    model.ask(sys.argv[2], {QUESTION!r}, length=16, steps=16)
    seconds.append(time.perf_counter() - start)
print(sorted(seconds[1:])[{ANSWERS} // 2])
"""


@contextmanager
def busy_cores(number: int) -> Iterator[None]:
    """Keep so many cores busy by processes of this benchmark's own."""
    loops = [subprocess.Popen([sys.executable, "-c", _LOOP]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


def library(threads: int | str | None, model: str | None, variables: Mapping[str, str]) -> float:
    """Return the median seconds of a warm answer in a process that imports PyTorch first."""
    done = _run(["-c", _LIBRARY, json.dumps([threads, model]), str(PHOTO)], variables)
    return LIMIT if done is None else float(done)


def command_line(options: list[str], variables: Mapping[str, str]) -> float:
    """Return the seconds of an answer by `lavida ask`, as its option --time tells them."""
    done = _run(["-m", "lavida.cli.main", "ask", str(PHOTO), QUESTION, "--time", *options], variables)
    return LIMIT if done is None else float(done.partition("answered in ")[2].split()[0])


def server(threads: int | None, model: str | None, variables: Mapping[str, str]) -> float:
    """Return the median seconds of an answer by `lavida serve` about a picture that it has not seen."""
    seconds = []
    with serving(model, 32, threads, _environment(variables)) as served:
        for turn in range(ANSWERS + 1):
            body = chat(picture(turn), QUESTION, max_tokens=16, steps=16)
            start = time.perf_counter()
            status, answer = served.post(body)
            seconds.append(time.perf_counter() - start)
            if status != 200:
                sys.exit(f"the server refused with {status}: {answer.decode()}")
    return statistics.median(seconds[1:])


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process whose OpenMP variables are `variables` alone."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(_OPENMP)}, **variables}


def _run(args: list[str], variables: Mapping[str, str]) -> str | None:
    """Return what a new process writes, or None if it takes too long."""
    try:
        done = subprocess.run(
            [sys.executable, *args],
            check=True,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=_environment(variables),
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout + done.stderr


def main() -> None:
    options = parser(__doc__, rounds=3, seconds=300)
    options.add_argument("--idle", action="store_true", help="without busy processes, against two spinning threads")
    args = options.parse_args()
    chosen = ["--model", args.model] if args.model else []
    arms = {
        "library, one passive thread": partial(library, 1, args.model, _PASSIVE),
        "library, threads auto": partial(library, "auto", args.model, {}),
        "library, PyTorch's default": partial(library, None, args.model, {}),
        "command line, one passive thread": partial(command_line, [*chosen, "--threads", "1"], _PASSIVE),
        "command line, default": partial(command_line, chosen, {}),
        "command line, spinning": partial(
            command_line, [*chosen, "--threads", str(usable_cores())], {"OMP_WAIT_POLICY": "ACTIVE"}
        ),
        "server, one passive thread": partial(server, 1, args.model, _PASSIVE),
        "server, default": partial(server, None, args.model, {}),
    }
    if args.small:
        arms = {name: run for name, run in arms.items() if "spin" not in name and "PyTorch" not in name}
    env = environment()
    with busy_cores(0 if args.idle else usable_cores()):
        found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    way = "PyTorch's default" if args.idle and not args.small else "one passive thread"
    last = {who: f"{who}, one passive thread" for who in ("library", "command line", "server")}
    last["library"] = f"library, {way}"
    if args.idle and not args.small:
        last["command line"] = "command line, spinning"
    rows = tuple(
        Row(
            series=name.partition(",")[0],
            x=name.partition(", ")[2],
            values=tuple(values),
            ratios=tuple(a / b for a, b in zip(values, found[last[name.partition(",")[0]]], strict=True)),
        )
        for name, values in found.items()
    )
    report = Report(
        name="idle" if args.idle else "busy",
        title="Seconds of a warm answer, " + ("idle machine" if args.idle else "one busy process a core beside it"),
        x="",
        y="s",
        base=" and ".join(sorted(set(last.values()))) + " (times as long)",
        rows=rows,
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
