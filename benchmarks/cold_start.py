"""How long a command takes from the shell's point of view: a new process each time.

python -m benchmarks.cold_start
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import torch

from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser
from benchmarks.report import Report, Row


def start(*args: str) -> None:
    """One process, to its end."""
    subprocess.run([sys.executable, *args], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    args = parser(__doc__, rounds=5).parse_args()
    cli = ("-m", "lavida.cli.main")
    chosen = ("--model", args.model) if args.model else ()
    threads = ("--threads", str(args.threads)) if args.threads else ()
    commands = {
        "lavida --help": (*cli, "--help"),
        "import torch": ("-c", "import torch"),
        "import lavida.api": ("-c", "import lavida.api"),
        "lavida.load()": ("-c", f"import lavida; lavida.load({args.model!r})"),
        "lavida describe photo.jpg": (*cli, "describe", str(PHOTO), *chosen, *threads),
    }
    env = environment()
    found = interleave(
        {name: partial(start, *command) for name, command in commands.items()}, rounds=args.rounds, seconds=args.seconds
    )
    base = found["lavida describe photo.jpg"]
    report = Report(
        name="cold_start",
        title="Seconds of a new process",
        x="",
        y="s",
        base="`lavida describe`",
        rows=tuple(
            Row(series="process", x=name, values=tuple(values), ratios=faster(values, base))
            for name, values in found.items()
        ),
    )
    finish(report, args.out, env | {"threads": args.threads or torch.get_num_threads()})


if __name__ == "__main__":
    main()
