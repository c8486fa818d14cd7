"""Peak memory of one answer about one picture, beside the size of the checkpoint's files.

    lavida make-random --family lavida-llada --scale 8b big
    python benchmarks/memory.py big
    python benchmarks/memory.py big --quantize int8 --length 32 --steps 2

Whole processes are measured, from their start to their end: loading, looking and answering. Pages of a file that is
mapped count as long as they are in memory, as the operating system counts them; it can take those back at any time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PHOTO = Path(__file__).parents[1] / "lavida" / "assets" / "demo.jpg"
GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a process took."""

    peak: int  # bytes of resident memory
    seconds: float
    cpu_seconds: float


def measure(command: list[str]) -> Cost:
    """Run a command to its end. Exits if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(
        peak=usage.ru_maxrss * unit,
        seconds=time.perf_counter() - start,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a checkpoint")
    parser.add_argument("--quantize", help="int8, int4, int8+head or int4+head; default: as stored")
    parser.add_argument("--image", type=Path, default=PHOTO)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    command = [sys.executable, "-m", "lavida.cli.main", "ask", str(args.image), "What is this?"]
    for option in ("model", "quantize", "length", "steps", "threads"):
        if getattr(args, option) is not None:
            command += [f"--{option}", str(getattr(args, option))]
    size = sum(path.stat().st_size for path in args.model.glob("*.safetensors"))
    base = measure([sys.executable, "-c", "import lavida.api"])
    cost = measure(command)
    print(f"files            {size / GB:8.3f} GB")
    print(f"peak             {cost.peak / GB:8.3f} GB   {cost.peak / size:.3f} of the files")
    print(f"  of it imports  {base.peak / GB:8.3f} GB")
    print(f"time             {cost.seconds:8.1f} s    ({cost.cpu_seconds:.1f} s of processors)")


if __name__ == "__main__":
    main()
