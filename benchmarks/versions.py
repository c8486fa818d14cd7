"""lavida-mini in this checkout beside another one: a pass, a warm answer, an answer about a new picture, memory.

    git worktree add OTHER e8961be
    python -m benchmarks.versions OTHER --dtype float32 --model OTHER/lavida/assets/mini

Without `--model` each checkout answers with the lavida-mini that it ships. Each runs in a process of its own on one
thread; they take turns. Times are the least processor seconds of a round, which other work on the cores stretches less
than seconds, though not by nothing: it shares caches and memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT

CHILD = """
import json, resource, sys, time, torch, lavida
from pathlib import Path
torch.set_num_threads(1)
model = lavida.load(*sys.argv[2:], dtype=sys.argv[1])
photo = Path(lavida.__file__).parent / "assets" / "demo.jpg"
answer = lambda: model.describe(photo, steps=16, early_stop=False)
def new():
    model.forget()
    answer()
found = [answer() for _ in range(2)][-1]
forward = model.read(photo)._context.forward(torch.full((1, 16), model.net.config.denoiser.mask_id))
@torch.inference_mode()
def one():
    model.net.denoiser(forward.x, mask=forward.mask, cache=forward.cache)
def least(work, count):
    taken = []
    for _ in range(count):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)
print(json.dumps(list(found.ids)), flush=True)
for _ in sys.stdin:
    times = {"pass": least(one, 24), "warm answer": least(answer, 3), "new picture": least(new, 2)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**times, "peak MB": peak}), flush=True)
"""


def start(checkout: Path, dtype: str, model: list[str]) -> subprocess.Popen[str]:
    """Start the process of a checkout."""
    env = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, dtype, *model]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=checkout, env=env)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--model", type=Path, help="a checkpoint that both read (default: the one each ships)")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    model = [str(args.model.resolve())] if args.model else []
    sides = {"there": start(args.other.resolve(), args.dtype, model), "here": start(ROOT, args.dtype, model)}
    ids = [json.loads(side.stdout.readline()) for side in sides.values()]
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, side in sides.items():
            side.stdin.write("again\n")
            side.stdin.flush()
            rounds[name].append(json.loads(side.stdout.readline()))
    for side in sides.values():
        side.stdin.close()
        side.wait()
    print(
        f"{args.dtype}, ids {'equal' if ids[0] == ids[1] else 'differ'}, {args.rounds} rounds, load {os.getloadavg()}"
    )
    for what in rounds["here"][0]:
        there, here = ([one[what] for one in rounds[name]] for name in ("there", "here"))
        ratios = [a / b for a, b in zip(there, here)]
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f} .. {max(ratios):.2f}]"
        print(f"{what:12s} there {min(there):9.4f}  here {min(here):9.4f}  there / here {spread}")


if __name__ == "__main__":
    main()
