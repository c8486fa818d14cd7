"""Test who may call, what a browser is told, and what is never told."""

from __future__ import annotations

import hmac
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import lavida
from lavida.serve import security
from lavida.serve.security import ApiKeys, PathHider, allowed_hosts, is_loopback
from lavida.serve.settings import Settings
from tests.serve.live import Live, chat, error_of, live

ASK = "/v1/chat/completions"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live() as running:
        yield running


@pytest.fixture(scope="module")
def closed() -> Iterator[Live]:
    with live(
        api_keys=("first-key", "second-k\u00e9y"), origins=("https://friend.example",), hosts=("ai.example",)
    ) as running:
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "path", ["/v1/models", ASK, "/v1/infill", "/metrics", "/openapi.json", "/nope", "/v1/../v1/models"]
)
def test_without_a_key_nothing_but_the_page_and_health_is_served(closed: Live, path: str) -> None:
    for headers in (
        {},
        bearer("wrong"),
        {"authorization": "Basic first-key"},
        {"authorization": "first-key"},
    ):
        answer = closed.get(path, headers=headers)
        assert answer.status_code == 401 and error_of(answer)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert closed.get("/health").status_code == 200 and closed.get("/ready").status_code == 200


def test_a_key_opens_the_server(closed: Live) -> None:
    assert closed.get("/v1/models", headers=bearer("first-key")).status_code == 200
    assert closed.post(ASK, chat(), headers=bearer("first-key")).status_code == 200
    assert closed.get("/v1/models", headers={"authorization": "bEaReR  first-key"}).status_code == 200


def test_keys_are_all_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, compared = ApiKeys(["a", "bb", "a\u00e9"]), []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    class Watched:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(security, "hmac", Watched)
    assert keys.accept("a") and keys.accept("a\u00e9") and not keys.accept("b") and not keys.accept("")
    assert compared == [(32, 32)] * 12, "whether or not one fits, and whatever its length"


def test_other_sites_may_not_call(server: Live, closed: Live) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"):
        answer = server.post(ASK, chat(), headers={"origin": origin})
        assert answer.status_code == 403 and "another site" in error_of(answer)["message"]
        assert "access-control-allow-origin" not in answer.headers
    assert server.post(ASK, chat(), headers={"origin": server.url}).status_code == 200
    answer = closed.post(ASK, chat(), headers={"origin": "https://friend.example", **bearer("first-key")})
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "https://friend.example"
    assert closed.post(ASK, chat(), headers={"origin": "https://friend.example"}).status_code == 401
    assert (
        closed.post(ASK, chat(), headers={"origin": "https://evil.example", **bearer("first-key")}).status_code == 403
    )


def test_a_browser_asks_before_it_calls(server: Live, closed: Live) -> None:
    import httpx

    def preflight(live: Live, origin: str) -> httpx.Response:
        headers = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        return httpx.options(live.url + ASK, headers=headers)

    answer = preflight(closed, "https://friend.example")
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "https://friend.example"
    assert "access-control-allow-credentials" not in answer.headers
    for refused in (preflight(closed, "https://evil.example"), preflight(server, "https://friend.example")):
        assert refused.status_code in (400, 403) and "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""]
)
def test_what_a_form_can_send_is_refused(server: Live, kind: str) -> None:
    answer = server.post(ASK, content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415 and "application/json" in error_of(answer)["message"]


def test_json_may_name_its_letters(server: Live) -> None:
    answer = server.post(ASK, content=b"{}", headers={"content-type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]", "localhost.", "", "a b"]
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(server: Live, host: str) -> None:
    answer = server.raw(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8000"])
def test_the_names_of_loopback_are_right(server: Live, host: str) -> None:
    assert server.get("/health", headers={"host": host}).status_code == 200


def test_other_names_are_told_to_the_server(closed: Live) -> None:
    assert closed.get("/health", headers={"host": "ai.example"}).status_code == 200
    assert closed.get("/health", headers={"host": "evil.example"}).status_code == 403
    assert allowed_hosts(Settings(host="0.0.0.0")) is None
    assert allowed_hosts(Settings(host="0.0.0.0", hosts=("AI.example",))) == {"ai.example"}
    assert is_loopback("127.3.4.5") and is_loopback("::1") and is_loopback("LOCALHOST") and not is_loopback("0.0.0.0")


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/openapi.json", "/metrics", "/nope"])
def test_every_answer_has_the_headers(server: Live, path: str) -> None:
    for answer in (
        server.get(path),
        server.get(path, headers={"host": "evil.example"}),
        server.post(path, content=b"{"),
    ):
        for name, value in security.HEADERS.items():
            assert answer.headers[name] == value
        assert "server" not in answer.headers and "x-powered-by" not in answer.headers


def test_nothing_comes_from_elsewhere(server: Live) -> None:
    assert server.get("/docs").status_code == 404 and server.get("/redoc").status_code == 404
    document = server.get("/openapi.json").text
    assert "cdn" not in document and "<script" not in document


def test_a_fault_of_the_server_tells_nothing(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError(f"secret at {Path.home()}")

    monkeypatch.setattr(server.service, "find", fail)
    answer = server.post(ASK, chat())
    assert answer.status_code == 500 and "secret" not in answer.text and "/" not in error_of(answer)["message"]
    for name, value in security.HEADERS.items():
        assert answer.headers[name] == value


def test_paths_are_taken_out_of_messages() -> None:
    hide = PathHider({Path("/srv/models/cats"): "cats", Path("/srv/models/cats-2"): "cats-2"})
    package, home = Path(lavida.__file__).parent, Path.home()
    for message, wanted in {
        "/srv/models/cats has no calibration": "cats has no calibration",
        "/srv/models/cats/config.json: broken": "cats: broken",
        "/srv/models/cats-2/a/b.json, '/srv/models/cats'": "cats-2, 'cats'",
        "/srv/models/catsuit stays": "/srv/models/catsuit stays",
        f"{package}/assets/demo.jpg: no such file": "demo.jpg: no such file",
        f"see {tempfile.gettempdir()}/x/y.json": "see y.json",
        "field #/properties/a/b is 1/2": "field #/properties/a/b is 1/2",
    }.items():
        assert hide(message) == wanted
    if len(home.parts) > 1:
        assert hide(f"{home}/models/m.json") == "m.json"
