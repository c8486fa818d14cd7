"""Servers for tests: a process of `lavida serve` on a free port of loopback, and pictures as they are sent."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[2]


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(60)


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Server]:
    """Run `lavida serve` with these arguments."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lavida.cli.main", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://[^\s]+/", line)
        assert found, line + process.stderr.read()
        yield Server(process, found[0].rstrip(","))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def as_uri(image: Image.Image) -> str:
    """The picture as a data URI, without loss."""
    held = io.BytesIO()
    image.save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def shown(question: str, *images: Image.Image) -> list[dict[str, Any]]:
    """A dialogue of one question about pictures."""
    pictures = [{"type": "image_url", "image_url": {"url": as_uri(image)}} for image in images]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": question}]}]
