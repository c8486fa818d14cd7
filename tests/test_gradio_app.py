"""The gradio app of examples/ answers a client of gradio."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lavida

gradio_client = pytest.importorskip("gradio_client", reason="gradio is no dependency: pip install gradio")
pytest.importorskip("gradio", reason="gradio is no dependency: pip install gradio")

APP = Path(__file__).parent.parent / "examples" / "gradio_app.py"
DEMO = Path(lavida.__file__).parent / "assets" / "demo.jpg"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return where the app listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    app = subprocess.Popen([sys.executable, str(APP)], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    end = time.monotonic() + 240
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert app.poll() is None and time.monotonic() < end, app.communicate()[0].decode()
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/"
    app.kill()
    app.wait()


@pytest.mark.slow
def test_drafts_come_before_the_answer_of_ask(address: str) -> None:
    client = gradio_client.Client(address, verbose=False)
    job = client.submit(gradio_client.handle_file(str(DEMO)), "What is this?", 4, api_name="/ask")
    answer, progress = job.result(timeout=240)
    assert answer == lavida.load().ask(DEMO, "What is this?", length=16, steps=4).text and "done" in progress
    drafts = [canvas for canvas, _ in job.outputs()]
    assert len(drafts) >= 2 and "\u2591" in drafts[0] and "\u2591" not in drafts[-1]


@pytest.mark.slow
def test_without_a_picture_the_visitor_is_told(address: str) -> None:
    client = gradio_client.Client(address, verbose=False)
    with pytest.raises(Exception, match="Give a picture first"):
        client.predict(None, "What is this?", 4, api_name="/ask")
