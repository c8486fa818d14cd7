"""Memory of one pass besides the weights and the keys of the prompt, by length of the canvas and of the prompt.

    python -m benchmarks.pass_memory

`benchmarks/step_memory.py` measures, at the sizes of an 8B model and a vocabulary of 126,464; this asks it for each
prompt in a process of its own and draws what it says. Linux only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import environment, finish, parser, some
from benchmarks.report import Report, Row

CANVASES, PROMPTS = (16, 64, 256, 1024), (64, 1008)
SMALL = ("--width", "64", "--mlp", "128", "--heads", "2", "--vocab", "512")
SCRIPT = Path(__file__).parent / "step_memory.py"


def megabytes(prompt: int, canvases: tuple[int, ...], *extra: str) -> dict[int, float]:
    """Of each canvas behind a prompt."""
    command = [sys.executable, str(SCRIPT), "--prompt", str(prompt), "--canvas", *map(str, canvases), *extra]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {line["canvas"]: line["megabytes"] for line in map(json.loads, done.stdout.splitlines())}


def main() -> None:
    args = parser(__doc__, rounds=2).parse_args()
    extra = (*(SMALL if args.small else ()), *(("--threads", str(args.threads)) if args.threads else ()))
    env, rounds = environment(), 1 if args.small else args.rounds
    found = {n: [megabytes(n, some(CANVASES, args), *extra) for _ in range(rounds)] for n in PROMPTS}
    rows = tuple(
        Row(series=f"prompt of {n}", x=canvas, values=tuple(one[canvas] for one in taken))
        for n, taken in found.items()
        for canvas in taken[0]
    )
    report = Report(
        name="pass_memory",
        title="Megabytes of a pass besides weights and keys, vocabulary 126,464, bfloat16",
        x="tokens of the canvas",
        y="MB",
        rows=rows,
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
