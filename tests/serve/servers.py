"""Servers for tests: a process of `lavida serve` on a free port of loopback, and pictures as they are sent."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from PIL import Image

ROOT = Path(__file__).parents[2]


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: IO[str]) -> None:
        self.process, self.url, self._log = process, url, log

    def logged(self) -> str:
        """Return what it wrote to standard error so far."""
        self._log.seek(0)
        return self._log.read()

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(60)


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Server]:
    """Run `lavida serve` with these arguments."""
    log = tempfile.TemporaryFile("w+")  # a pipe that nobody reads fills up, and then the server waits for ever
    process = subprocess.Popen(
        [sys.executable, "-m", "lavida.cli.main", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://[^\s]+/", line)
        if not found:
            log.seek(0)
        assert found, line + log.read()
        yield Server(process, found[0].rstrip(","), log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        log.close()


def as_uri(image: Image.Image) -> str:
    """The picture as a data URI, without loss."""
    held = io.BytesIO()
    image.save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def shown(question: str, *images: Image.Image) -> list[dict[str, Any]]:
    """A dialogue of one question about pictures."""
    pictures = [{"type": "image_url", "image_url": {"url": as_uri(image)}} for image in images]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": question}]}]
