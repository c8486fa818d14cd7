"""An error among several processes: one line from the first process that failed, last on the screen.

When a process of torchrun fails, the others fail too, for want of it, and torchrun prints a report of its own behind
all of them. So the first one to fail is written down, the others stay silent, and a small process that outlives
torchrun prints the line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lavida.errors import LavidaError

_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where torchrun looks for the reason of a failure
_PATIENCE = 5.0  # seconds in which another process's failure is taken for the cause of this one's
# Waits until torchrun (the process argv[1]) has printed its report and is gone.
_LAST_WORDS = """
import os, sys, time
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        os.kill(int(sys.argv[1]), 0)
    except OSError:
        break
    time.sleep(0.02)
sys.stderr.write(sys.argv[2] + "\\n")
"""


@contextmanager
def reported() -> Iterator[None]:
    """Report an error of this process unless another one failed first; then leave in silence."""
    try:
        yield
    except LavidaError as error:
        if not _is_first():
            raise SystemExit(1) from None
        _say_last(f"lavida: {' '.join(str(error).split())}")
        raise
    except Exception as error:
        # The connection breaks when another process has failed, perhaps a moment before it says so.
        deadline = time.monotonic() + _PATIENCE
        while isinstance(error, RuntimeError) and not _claim_exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not _is_first():
            raise SystemExit(1) from None
        last = (str(error).strip().splitlines() or [""])[-1]
        _say_last(f"lavida: process {os.environ.get('RANK')} failed: {type(error).__name__}: {last}")
        raise


def _claim() -> Path | None:
    """Return the file that the first failure creates: one for all processes of this machine and start."""
    error_file = os.environ.get(_ERROR_FILE)
    return Path(error_file).parent.parent / "first-failure" if error_file else None


def _claim_exists() -> bool:
    claim = _claim()
    return claim is None or claim.exists()


def _is_first() -> bool:
    claim = _claim()
    if claim is None:
        return True
    try:
        claim.touch(exist_ok=False)
    except OSError:
        return False
    return True


def _say_last(line: str) -> None:
    """Give the line to torchrun's report, and print it behind that."""
    error_file = os.environ.get(_ERROR_FILE)
    if error_file is None:
        return
    # The form of torch.distributed.elastic.multiprocessing.errors.
    told = {"message": {"message": line, "extraInfo": {"py_callstack": line, "timestamp": str(int(time.time()))}}}
    try:
        Path(error_file).write_text(json.dumps(told), encoding="utf-8")
        sys.stderr.flush()
        subprocess.Popen(
            [sys.executable, "-c", _LAST_WORDS, str(os.getppid()), line], stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError:  # then the line stands above torchrun's report
        return
