"""The server as replicas on a Ray cluster of two nodes: examples/ray_serve.py, asked by OpenAI's client."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lavida
from tests.batch.clusters import two_nodes
from tests.batch.jobs import picture
from tests.batch.processes import below, listening

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_serve.py"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
OPTIONS = {"length": 6, "steps": 3, "temperature": 1.0}


@pytest.fixture(scope="module")
def client(tiny_folder: Path) -> Iterator[Any]:
    """OpenAI's client of a deployment of two replicas, one on each node."""
    pytest.importorskip("ray.serve")
    openai = pytest.importorskip("openai")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with two_nodes() as address:
        command = [sys.executable, str(EXAMPLE), "--address", address, "--model", str(tiny_folder), "--replicas", "2"]
        server = subprocess.Popen([*command, "--cpus", "0.9", "--port", str(port)], stderr=subprocess.PIPE, text=True)
        made = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=240)
        end = time.monotonic() + 400
        while True:
            try:
                made.models.list()
                break
            except openai.APIError:
                assert server.poll() is None and time.monotonic() < end, server.communicate()[1]
                time.sleep(0.5)
        yield made
        server.send_signal(signal.SIGINT)
        server.communicate()


def replicas() -> list[int]:
    return [pid for pid, title in below(os.getpid()).items() if title.startswith("ray::ServeReplica")]


def ask(client: Any, model: Path, number: int) -> str:
    address = f"data:image/png;base64,{base64.b64encode(picture(number)).decode()}"
    content = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": f"Is it {number}?"}]
    messages = [{"role": "user", "content": content}]
    extra = {**OPTIONS, "seed": number}
    extra.pop("temperature")
    made = client.chat.completions.create(model=model.name, messages=messages, temperature=1.0, extra_body=extra)
    return made.choices[0].message.content


def test_replicas_answer_as_the_model_does(client: Any, tiny_folder: Path) -> None:
    numbers = range(8)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: ask(client, tiny_folder, n), numbers))
    model = lavida.load(tiny_folder)
    assert found == [model.ask(picture(n), f"Is it {n}?", **OPTIONS, seed=n).text for n in numbers]
    assert len(replicas()) == 2
    assert set(listening({os.getpid(), *below(os.getpid())})) <= LOOPBACK


def test_a_stream_and_an_error_come_through(client: Any, tiny_folder: Path) -> None:
    import openai

    asked = {"model": tiny_folder.name, "messages": [{"role": "user", "content": "What?"}]}
    parts = [part.choices[0].delta.content or "" for part in client.chat.completions.create(**asked, stream=True)]
    assert "".join(parts) == lavida.load(tiny_folder).ask(None, "What?").text
    with pytest.raises(openai.BadRequestError, match="steps"):
        client.chat.completions.create(**asked, extra_body={"steps": 0})


def test_a_replica_that_is_killed_is_replaced(client: Any, tiny_folder: Path) -> None:
    before = replicas()
    os.kill(before[0], signal.SIGKILL)
    end = time.monotonic() + 240
    while not (len(replicas()) == 2 and before[0] not in replicas()):
        assert time.monotonic() < end, "no replica took the place of the one that was killed"
        time.sleep(0.5)
    assert ask(client, tiny_folder, 3)
