"""Random requests: valid ones with fields taken out, exchanged and spoilt, and bytes that are no HTTP.

A few hundred by default; 10,000 with `-m slow`, or as many as LAVIDA_FUZZ says. Each ends below 500 and in time, and
the server answers afterwards as before.
"""

from __future__ import annotations

import base64
import json
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.fuzz import SEED
from tests.pictures import gradient
from tests.serve.hostile import HOSTILE, address, encoded
from tests.serve.live import Live, chat, live

FEW, MANY = int(os.environ.get("LAVIDA_FUZZ", 300)), 10_000
LONGEST = 60.0  # seconds; a machine that is busy does not make a hang
CLIENTS = 4
FILES = [encoded(gradient(30, 20), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")]
SHOWN = address(FILES[0])
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "additionalProperties": False}
ASKED = [{"role": "user", "content": "hi"}]
VALID: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", chat(SHOWN, max_tokens=8)),
    (
        "/v1/chat/completions",
        {"model": "tiny", "messages": ASKED, "steps": 2, "stream": True, "draft": True, "length": 8},
    ),
    ("/v1/chat/completions", {"messages": ASKED, "length": 8, "n": 2, "temperature": 1.0, "seed": 3, "logprobs": True}),
    ("/v1/chat/completions", {"messages": ASKED, "regex": "[a-c]{1,4}", "steps": 4, "stop": None}),
    ("/v1/chat/completions", {"messages": ASKED, "choices": ["yes", "no"]}),
    ("/v1/chat/completions", {"messages": ASKED, "holes": "a [M:1]", "steps": 2}),
    (
        "/v1/chat/completions",
        {
            "messages": [{"role": "system", "content": "Be brief."}, *ASKED],
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}},
        },
    ),
    ("/v1/responses", {"input": "hi", "length": 8, "steps": 2}),
    ("/v1/denoise", chat(SHOWN, length=8)),
    ("/v1/infill", {"image": SHOWN, "text": "a [M:1] of [M:1-2]", "alternatives": 1}),
    ("/v1/images/generations", {"prompt": "a red bus", "size": "64", "steps": 2, "n": 2}),
    ("/v1/images/generations", {"prompt": "a bus", "size": "64", "steps": 2, "stream": True, "partial_images": 1}),
    ("/v1/audit", {"image": SHOWN, "text": "a cat", "question": "What is this?"}),
    ("/v1/extract", {"image": SHOWN, "schema": SCHEMA, "steps": 8}),
]
PATHS = [
    "/",
    "/health",
    "/ready",
    "/metrics",
    "/v1/models",
    "/v1/models/tiny",
    "/openapi.json",
    "/page/x",
    "/%00",
    "/v1//",
]
ALLOWED = {200, 400, 401, 403, 404, 405, 408, 413, 415, 429}


def anything(rng: random.Random, depth: int = 0) -> Any:
    """A JSON value."""
    kind = rng.randrange(12 if depth < 4 else 9)
    if kind < 9:
        return [
            None, True, rng.randint(-5, 40), rng.choice([10**9, -(10**30), 2**63]), rng.uniform(-2, 2),
            rng.choice([float("inf"), float("nan"), 1e-320, -0.0]), rng.choice(["", "auto", "user", "[M]"]),
            "".join(chr(rng.choice([rng.randrange(128), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)]))
                    for _ in range(rng.randrange(12))),
            rng.choice([SHOWN, *(one for one, _ in HOSTILE.values() if len(one) < 5000)]),
        ][kind]  # fmt: skip
    if kind == 9:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {
        rng.choice(["type", "text", "url", "role", "a", ""]): anything(rng, depth + 1) for _ in range(rng.randrange(4))
    }


def spoilt(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """The value with something in it taken out, added or exchanged."""
    if depth and rng.random() < 0.15:
        return anything(rng)
    if isinstance(value, dict) and value:
        made, key = dict(value), rng.choice(list(value))
        deed = rng.randrange(5)
        if deed == 0:
            del made[key]
        elif deed == 1:
            made[rng.choice(["stpes", "tools", "length", "steps", "timeout", "n", "\x00", "block", "cache"])] = (
                anything(rng)
            )
        else:
            made[key] = spoilt(rng, made[key], depth + 1)
        return made
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return rng.choice([value * 2, value[:at], [*value[:at], spoilt(rng, value[at], depth + 1), *value[at + 1 :]]])
    if isinstance(value, str) and value.startswith("data:"):
        return spoilt_picture(rng)
    return anything(rng)


def spoilt_picture(rng: random.Random) -> str:
    """A data address of a file with some bytes changed, or cut off, or of another kind."""
    data = bytearray(rng.choice(FILES))
    for _ in range(rng.randrange(6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    shown = base64.b64encode(data[: rng.choice([len(data), rng.randrange(len(data))])]).decode()
    return rng.choice(["data:image/png;base64,", "data:;base64,", "data:,", "DATA:x/y;charset=z;base64,"]) + shown


def body_of(rng: random.Random, body: dict[str, Any]) -> bytes:
    """JSON of a body that was spoilt, sometimes spoilt itself."""
    for _ in range(rng.randrange(4)):
        body = spoilt(rng, body)
    text = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    deed = rng.random()
    if deed < 0.05:
        return text[: rng.randrange(len(text) + 1)]
    if deed < 0.1 and text:
        at = rng.randrange(len(text))
        return text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
    return text


def sent(server: Live, client: httpx.Client, number: int) -> int:
    """Send the request of this number and return the status of its answer."""
    rng = random.Random(SEED * 1_000_003 + number)
    if rng.random() < 0.06:
        return sent_raw(server, rng)
    path, body = rng.choice(VALID)
    method = "POST" if rng.random() < 0.95 else rng.choice(["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"])
    headers = {
        "content-type": "application/json" if rng.random() < 0.97 else rng.choice(["text/plain", "x", "a/b;c=d"])
    }
    if rng.random() < 0.05:
        headers[rng.choice(["origin", "host", "authorization", "expect", "range"])] = rng.choice(
            ["null", "a", "100-continue"]
        )
    if rng.random() < 0.08:
        path = rng.choice(PATHS) + rng.choice(["", "?a=%ff", "/../..", "%2e%2e"])
        method = rng.choice(["GET", method])
    content = body_of(rng, body)
    return client.request(method, server.url + path, content=content, headers=headers).status_code


def sent_raw(server: Live, rng: random.Random) -> int:
    """Send bytes that are no whole request, and leave."""
    head = "POST /v1/chat/completions HTTP/1.1|Host: localhost|Content-Type: application/json|Content-Length: 99||{"
    whole = head.replace("|", "\r\n").encode()
    data = bytearray(whole[: rng.randrange(1, len(whole) + 1)])
    for _ in range(rng.randrange(4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with socket.create_connection((server.host, server.port), timeout=LONGEST) as sock:
        sock.sendall(data)
        if rng.random() < 0.5:
            return 408  # gone
        sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(4096)
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 408


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live(body_seconds=2.0, timeout=30.0) as running:
        yield running


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_random_requests_break_nothing(server: Live, count: int) -> None:
    wanted = server.post(*VALID[0]).json()["choices"]
    found: Counter[int] = Counter()

    def some(first: int) -> None:
        with httpx.Client(timeout=LONGEST) as client:
            for number in range(first, count, CLIENTS):
                begin = time.monotonic()
                try:
                    status = sent(server, client, number)
                except httpx.RemoteProtocolError:  # closed by the server in the middle of what is no HTTP
                    status = 400
                assert status in ALLOWED, f"request {number} is answered with {status}"
                assert time.monotonic() - begin < LONGEST, f"request {number} takes too long"
                found[status] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(some, range(CLIENTS)))
    assert found.total() == count and found[400] > count / 5 and found[200] > count / 20, found
    again = server.post(*VALID[0]).json()["choices"]
    for choice in (*wanted, *again):
        choice["lavida"].pop("seconds", None)
    assert again == wanted, "the same answer as before"
    deadline = time.monotonic() + LONGEST
    while server.service.places and time.monotonic() < deadline:
        time.sleep(0.1)
    assert server.service.places == 0, "no place of the queue is lost"
