"""Send what strangers send to hurt: each a clear refusal in no time, the memory as before, and the server goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from lavida.serve.metrics import resident_bytes
from tests.pictures import gradient
from tests.serve.hostile import HOSTILE, address, encoded
from tests.serve.live import Live, as_json, chat, error_of, live

GOOD = address(encoded(gradient()))
JSON = {"content-type": "application/json"}
SLOW = 30.0  # seconds; a hang is longer, and a busy machine is not
BOMB = HOSTILE["bomb"][0]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live() as running:
        assert running.post("/v1/chat/completions", chat(GOOD)).status_code == 200
        yield running


@pytest.mark.parametrize("name", HOSTILE)
def test_a_picture_that_is_none_is_refused(server: Live, name: str) -> None:
    shown, words = HOSTILE[name]
    begin = time.monotonic()
    answer = server.post("/v1/chat/completions", chat(shown))
    assert answer.status_code == 400 and words in error_of(answer)["message"], answer.text[:300]
    assert time.monotonic() - begin < SLOW


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", chat(BOMB, stream=True)),
        ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": BOMB}]}]}),
        ("/v1/denoise", chat(BOMB)),
        ("/v1/infill", {"image": BOMB, "text": "a [M:1]"}),
        ("/v1/audit", {"image": BOMB, "text": "a cat"}),
        ("/v1/extract", {"images": [BOMB], "schema": SCHEMA}),
    ],
)
def test_every_route_refuses_it(server: Live, path: str, body: dict[str, Any]) -> None:
    answer = server.post(path, body)
    assert answer.status_code == 400 and "more than 50 megapixels" in error_of(answer)["message"], answer.text[:300]


BODIES = {
    "200 pictures": (as_json(chat(*[GOOD] * 200)), 400, "shows 200 pictures"),
    "50 MB of base64": (as_json(chat("data:image/png;base64," + "A" * 50_000_000)), 413, "larger than"),
    "deep": (b'{"messages":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}", 400, "deeper than"),
    "deep schema": (
        as_json(
            {**chat(), "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}
        ).replace(b'"schema": {}', b'"schema": ' + b'{"items":' * 3000 + b"{}" + b"}" * 3000),
        400,
        "deeper than",
    ),
    "wide": (b'{"messages":[' + b"[]," * 1_000_000 + b"1]}", 400, "values"),
    "many keys": (b"{" + b",".join(b'"a%d":0' % i for i in range(150_000)) + b"}", 400, "values"),
    "long text": (as_json(chat(question="a" * 2_000_000)), 400, "letters"),
    "no JSON": (b"{", 400, "not JSON"),
    "no UTF-8": (b'{"messages": "\xff\xfe"}', 400, ""),
    "half a character": (b'{"messages": [{"role": "user", "content": "\\ud800"}], "steps": 1}', 400, ""),
    "huge number": (as_json(chat(steps=1)).replace(b'"steps": 1', b'"steps": ' + b"9" * 5000), 400, ""),
    "infinite": (as_json(chat(steps=1)).replace(b'"steps": 1', b'"temperature": 1e999'), 400, ""),
    "not a number": (as_json(chat(steps=1)).replace(b'"steps": 1', b'"temperature": NaN'), 400, ""),
    "a list": (b"[]", 400, "object"),
    "null": (b"null", 400, "object"),
    "nothing": (b"", 400, ""),
    "endless regex": (as_json(chat(regex="(((a{1,9}){1,999}){1,999}){1,999}b{9999999}")), 400, ""),
    "regex of many states": (as_json(chat(regex="[ab]*a[ab]{40}")), 400, ""),
    "greedy regex": (as_json(chat(regex="(a*)*" * 2000 + "b")), 400, ""),
    "long canvas": (as_json(chat(length=4096, steps=1)), 400, ""),
    "own schema": (as_json(chat(schema="/etc/passwd")), 400, "unknown field"),
    "own template": (as_json(chat(template={"a": 1})), 400, "unknown field"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_hurts_is_refused(server: Live, name: str) -> None:
    body, status, words = BODIES[name]
    begin = time.monotonic()
    answer = server.post("/v1/chat/completions", content=body, headers=JSON)
    assert answer.status_code == status, answer.text[:300]
    if status != 200:
        assert words in error_of(answer)["message"] and len(answer.content) < 2000
        assert "/etc" not in answer.text
    assert time.monotonic() - begin < SLOW


def test_a_key_given_twice_is_no_way_around(server: Live) -> None:
    body = as_json(chat()).replace(b'"steps": 2', b'"steps": 2, "steps": 9999999')
    assert server.post("/v1/chat/completions", content=body, headers=JSON).status_code == 400


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page/../app.py", "//etc/passwd"]
)
def test_no_path_leads_to_a_file(server: Live, path: str) -> None:
    answer = server.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404") and b"root:" not in answer


def test_the_memory_is_as_before(server: Live) -> None:
    def round_of_all() -> None:
        for name in ("bomb", "large", "truncated", "moving"):
            server.post("/v1/chat/completions", chat(HOSTILE[name][0]))
        for name in ("200 pictures", "50 MB of base64", "deep", "wide"):
            server.post("/v1/chat/completions", content=BODIES[name][0], headers=JSON)

    if resident_bytes() is None:
        pytest.skip("the system does not tell the memory of a process")
    round_of_all()
    before = resident_bytes()
    for _ in range(3):
        round_of_all()
    after = resident_bytes()
    assert before is not None and after is not None and after < before + (128 << 20)  # a body alone has 50 MB


def test_after_all_this_an_answer_is_the_same(server: Live) -> None:
    model = server.service.find(None).model
    answer = server.post("/v1/chat/completions", chat(GOOD)).json()["choices"][0]
    assert answer["lavida"]["ids"] == list(model.ask(encoded(gradient()), "What is this?", steps=2).ids)
    assert server.service.places == 0


@pytest.mark.parametrize(
    "shown",
    [
        "http://169.254.169.254/latest/meta-data/iam/",
        "http://[fd00:ec2::254]/latest/",
        "http://127.0.0.1/health",
        "http://localhost/health",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://user:secret@127.0.0.1/",
        "https://127.0.0.1:8000/health",
        "file:///etc/passwd",
        "FILE://localhost/etc/passwd",
        "gopher://127.0.0.1/",
    ],
)
def test_a_server_that_fetches_fetches_nothing_of_its_own(fetching: Live, shown: str) -> None:
    answer = fetching.post("/v1/chat/completions", chat(shown))
    assert answer.status_code == 400 and error_of(answer)["message"].startswith("the picture: ")
    assert "root:" not in answer.text and "secret" not in answer.text


@pytest.fixture(scope="module")
def fetching() -> Iterator[Live]:
    with live(remote_images=True) as running:
        yield running
