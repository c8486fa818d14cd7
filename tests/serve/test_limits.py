"""Limits on what a connection may send: bytes, seconds, depth; a refusal is one line, and the server goes on."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lavida.serve import limits
from lavida.serve.errors import FieldError
from lavida.serve.limits import check_json
from tests.serve.live import Live, as_json, chat, error_of, live

ASK = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live(body=100_000, bodies=250_000, body_seconds=0.5, depth=20, values=2000) as running:
        yield running


def head(length: int | None, path: str = ASK, *lines: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", size, *lines, "", ""]
    ).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> dict[str, Any]:
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def received(sock: socket.socket) -> bytes:
    """The whole answer, which may come in pieces."""
    answer = b""
    while piece := sock.recv(65536):
        answer += piece
        head, end, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if end and length is not None and len(body) >= int(length[1]):
            break
    return answer


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20 + "]" * 20,
        json.dumps({"a": [1, 2, {"b": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[" * 9}]}),
        json.dumps(["{" * 50, '"{' * 50, "\\" * 50 + "{" * 50]),
        json.dumps({"text": ", " * 5000}),
        "[" + "[]," * 900 + "1]",
        "",
        "no JSON",
        '"' + "[" * 999,
    ],
)
def test_what_is_flat_enough_is_read(text: str) -> None:
    check_json(text.encode(), depth=20, values=2000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 21, "deeper than 20 levels"),
        ("[" * 10_000_000, "deeper than 20 levels"),
        ('{"a":' * 21, "deeper than 20 levels"),
        ('{"a":"\\"",' * 3 + '"b":' + "[" * 20, "deeper than 20 levels"),
        ('"a\\\\"' + "[" * 21, "deeper than 20 levels"),
        ("[" + "0," * 2001, "more than 2,000 values"),
        ("[" + "[]," * 100_000, "more than 2,000 values"),
        ("[" * 15 + '"",' * 1_000_000, "more than 2,000 values"),
    ],
)
def test_what_is_deep_or_wide_is_refused_before_it_is_parsed(text: str, words: str) -> None:
    with pytest.raises(FieldError, match=words):
        check_json(text.encode(), depth=20, values=2000)


@pytest.mark.parametrize("fill", ["\\/" * 5_000_000, "a" * 10_000_000, '\\"[' * 3_000_000])
def test_a_long_text_is_skipped_quickly(fill: str) -> None:
    begin = time.process_time()
    check_json(b'{"url":"' + fill.encode() + b'","a":' + b"[]," * 30 + b"1}", depth=20, values=2000)
    assert time.process_time() - begin < 10


def test_a_body_that_says_it_is_too_long_is_refused_at_once(server: Live) -> None:
    with socket.create_connection((server.host, server.port), timeout=30) as sock:
        sock.sendall(head(100_001))  # and not a byte of it
        answer = received(sock)
    assert status(answer) == 413 and body_of(answer)["error"]["code"] == "request_too_large"


def test_a_body_that_does_not_say_how_long_it_is_is_counted(server: Live) -> None:
    with socket.create_connection((server.host, server.port), timeout=30) as sock:
        sock.sendall(head(None))
        for _ in range(101):
            sock.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        answer = received(sock)  # though the body has not ended
    assert status(answer) == 413


def test_who_reads_only_at_the_end_sees_the_refusal(server: Live) -> None:
    answer = server.post(ASK, content=b" " * 5_000_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413 and "larger than" in error_of(answer)["message"]
    assert server.post(ASK, chat()).status_code == 200


def test_bodies_of_all_together_are_limited(server: Live) -> None:
    begun = []
    try:
        for _ in range(3):
            sock = socket.create_connection((server.host, server.port), timeout=30)
            begun.append(sock)
            sock.sendall(head(100_000) + b" " * 90_000)
        answers = [received(sock) for sock in begun]
    finally:
        for sock in begun:
            sock.close()
    found = sorted(map(status, answers))
    assert found == [408, 408, 429], "two are given up for their slowness, one has no room"
    assert b"retry-after" in b"".join(answers).lower()
    assert server.post(ASK, chat()).status_code == 200, "room is given back"


def test_a_body_that_drips_is_given_up(server: Live) -> None:
    begin = time.monotonic()
    with socket.create_connection((server.host, server.port), timeout=30) as sock:
        sock.sendall(head(1000) + b"{")
        answer = received(sock)
    assert status(answer) == 408 and "too slowly" in body_of(answer)["error"]["message"]
    assert time.monotonic() - begin < 20


def test_a_client_that_leaves_within_its_body_is_forgotten(server: Live) -> None:
    for _ in range(5):
        with socket.create_connection((server.host, server.port), timeout=30) as sock:
            sock.sendall(head(100_000) + b" " * 90_000)
    deadline = time.monotonic() + 30
    while server.post(
        ASK, content=as_json(chat()) + b" " * 99_000, headers={"content-type": "application/json"}
    ).is_error:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_deep_json_is_refused(server: Live) -> None:
    for text, code in ((b"[" * 50_000, "json_too_deep"), (b"[" + b"0," * 40_000, "json_too_long")):
        answer = server.post(ASK, content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 400 and error_of(answer)["code"] == code


def test_a_head_that_is_never_whole_is_given_up(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.3)
    for begun in (b"", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "):
        answer = server.raw(begun)
        assert status(answer) == 408 and body_of(answer)["error"]["type"] == "timeout_error"


def test_the_second_head_of_a_connection_has_its_time_too(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.3)
    with socket.create_connection((server.host, server.port), timeout=30) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status(received(sock)) == 200
        sock.sendall(b"GET /health HT")
        assert status(server.rest(sock)) == 408


def test_a_body_that_goes_on_after_its_answer_is_cut_off(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.3)
    with socket.create_connection((server.host, server.port), timeout=30) as sock:
        sock.sendall(head(10**12))
        deadline = time.monotonic() + 30
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                sock.sendall(b" " * 1000)
                time.sleep(0.02)
        assert time.monotonic() < deadline


def test_a_head_has_a_size(server: Live) -> None:
    for begun in (b"GET /" + b"a" * 20_000, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 3000):
        assert status(server.raw(begun)) == 400
    assert server.get("/health").status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\xff\x16\x03\x01 no http\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(server: Live, request_: bytes) -> None:
    answer = server.raw(request_)
    assert 400 <= status(answer) < 500
    assert server.get("/health").status_code == 200


def test_many_slow_clients_leave_room_for_others(server: Live) -> None:
    slow = [socket.create_connection((server.host, server.port), timeout=30) for _ in range(100)]
    try:
        for sock in slow:
            sock.sendall(b"GET /health HT")
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: server.post(ASK, chat()).status_code, range(4)))
        assert answers == [200] * 4
    finally:
        for sock in slow:
            sock.close()
