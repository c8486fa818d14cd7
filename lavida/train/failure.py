"""Report an error among several processes: one line from the first process that failed, last on the screen.

When a process of torchrun fails, the others fail too, and torchrun prints a report of its own behind all of them. So
the first one to fail is written down, the others stay silent, and a small process that outlives torchrun prints it.
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
    except Exception as error:
        if _ERROR_FILE not in os.environ:
            raise
        error_file = Path(os.environ[_ERROR_FILE])
        claim = error_file.parent.parent / "first-failure"  # one for all processes of this machine and start
        # The connection breaks when another process has failed, perhaps a moment before it says so.
        deadline = time.monotonic() + _PATIENCE
        while isinstance(error, RuntimeError) and not claim.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            claim.touch(exist_ok=False)
        except OSError:
            raise SystemExit(1) from None
        if isinstance(error, LavidaError):
            line = " ".join(str(error).split())
        else:
            last = (str(error).strip().splitlines() or [""])[-1]
            line = f"process {os.environ.get('RANK')} failed: {type(error).__name__}: {last}"
        _say_last(error_file, f"lavida: {line}")
        raise


def _say_last(error_file: Path, line: str) -> None:
    """Give the line to torchrun's report, and print it behind that."""
    # The form of torch.distributed.elastic.multiprocessing.errors.
    message = {"message": line, "extraInfo": {"py_callstack": line, "timestamp": str(int(time.time()))}}
    try:
        error_file.write_text(json.dumps({"message": message}), encoding="utf-8")
        sys.stderr.flush()
        subprocess.Popen(
            [sys.executable, "-c", _LAST_WORDS, str(os.getppid()), line], stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError:  # then the line stands above torchrun's report
        return
