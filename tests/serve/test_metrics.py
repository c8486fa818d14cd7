"""Figures for Prometheus: what happened is counted, strangers add no labels, and applications do not share."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from lavida.serve.metrics import resident_bytes
from tests.pictures import gradient
from tests.serve.hostile import HOSTILE, address, encoded
from tests.serve.live import Live, chat, live

SHOWN = address(encoded(gradient()))
ASK = "/v1/chat/completions"


def figures(server: Live) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = server.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def labels(**given: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(given.items()))


def test_what_happened_is_counted_and_two_servers_do_not_share() -> None:
    with live() as server, live() as other:
        usage = server.post(ASK, chat(SHOWN)).json()["usage"]
        server.post(ASK, chat(HOSTILE["bomb"][0]))
        server.post("/v1/infill", {"image": SHOWN, "text": "a [M:1]", "alternatives": 0})
        for i in range(5):
            server.get(f"/stranger/{i}?secret=1")
        server.get("/health", headers={"host": "evil.example"})
        found, none = figures(server), figures(other)
        text = server.get("/metrics").text
    tiny = {"model": "tiny"}
    for name, given, value in (
        ("lavida_requests_total", {"route": ASK, "method": "POST", "status": "200"}, 1),
        ("lavida_requests_total", {"route": ASK, "method": "POST", "status": "400"}, 1),
        ("lavida_requests_total", {"route": "/v1/infill", "method": "POST", "status": "200"}, 1),
        ("lavida_requests_total", {"route": "other", "method": "GET", "status": "404"}, 5),
        ("lavida_requests_total", {"route": "other", "method": "GET", "status": "403"}, 1),
        ("lavida_request_seconds_count", {"route": ASK}, 2),
        ("lavida_answers_total", {**tiny, "outcome": "finished"}, 1),
        ("lavida_answers_total", {**tiny, "outcome": "calls"}, 1),
        ("lavida_tokens_total", {**tiny, "kind": "prompt"}, usage["prompt_tokens"]),
        ("lavida_tokens_total", {**tiny, "kind": "completion"}, usage["completion_tokens"]),
        ("lavida_tokens_total", {**tiny, "kind": "image"}, usage["prompt_tokens_details"]["image_tokens"]),
        ("lavida_forwards_total", tiny, usage["lavida"]["steps"]),
        ("lavida_waiting_seconds_count", {}, 1),
        ("lavida_answering_seconds_count", {}, 1),
        ("lavida_tokens_per_forward_count", {}, 1),
        ("lavida_tokens_per_forward_sum", {}, usage["completion_tokens"] / usage["lavida"]["steps"]),
        ("lavida_pictures_total", {"outcome": "decoded"}, 2),
        ("lavida_pictures_total", {"outcome": "refused"}, 1),
        ("lavida_active_answers", tiny, 0),
        ("lavida_waiting_answers", tiny, 0),
        ("lavida_places", tiny, 0),
    ):
        assert found[name, labels(**given)] == value, (name, given)
    assert none["lavida_answers_total", labels(**tiny, outcome="finished")] == 0
    assert not any(name == "lavida_requests_total" and dict(given)["route"] == ASK for name, given in none)
    assert "stranger" not in text and "secret" not in text


def test_the_memory_of_the_process_is_told() -> None:
    own = resident_bytes()
    if own is not None:
        with live() as server:
            told = figures(server)["process_resident_memory_bytes", ()]
        assert own / 2 < told < own * 2
    assert resident_bytes(2**30) is None
