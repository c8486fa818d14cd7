"""The application in this process: faults of the server, its log, and streams that wait or fail."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from lavida.api import Model
from lavida.decode.driver import Job
from lavida.serve.app import create_app
from lavida.serve.service import Service
from lavida.serve.settings import Settings
from tests.tiny import tiny_model

SECRET = "Where is the treasure?"
BODY = {"messages": [{"role": "user", "content": SECRET}], "max_tokens": 6}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@asynccontextmanager
async def serving(model: Model, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Service]]:
    chosen = Settings(page=False, **settings)
    service = Service({"tiny": model}, chosen)
    app = create_app(service, chosen)
    service.start()
    try:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
            yield client, service
    finally:
        await service.close()


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))


def breaks_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let each answer fail at a step, by a fault whose message holds what nobody may read."""
    step = Job.step

    def broken(self: Job, *args: Any, **named: Any) -> None:
        if self.last is not None and self.last.index == at - 1 or at == 0:
            raise RuntimeError(SECRET)
        step(self, *args, **named)

    monkeypatch.setattr(Job, "step", broken)


def test_a_fault_of_the_server_tells_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    breaks_at(monkeypatch, 0)

    async def work() -> None:
        async with serving(model) as (client, service):
            for path, body in ((CHAT, BODY), ("/v1/responses", {"input": SECRET})):
                response = await client.post(path, json=body)
                assert response.status_code == 500 and response.json()["error"]["type"] == "server_error"
                assert SECRET not in response.text and "Traceback" not in response.text
            assert service.places == 0 and service.find(None).totals.failed == 2

    with caplog.at_level(logging.INFO, "lavida.serve"):
        run(work)
    assert "RuntimeError in" in caplog.text and "driver.py" in caplog.text
    assert SECRET not in caplog.text and not any(record.exc_info for record in caplog.records)


def test_a_stream_that_fails_in_the_middle_says_so(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks_at(monkeypatch, 2)

    async def work() -> None:
        async with serving(model) as (client, service):
            text = (await client.post(CHAT, json={**BODY, "stream": True, "draft": True})).text
            *_, last = filter(None, text.split("\n\n"))
            name, data = last.split("\n")
            assert name == "event: error" and json.loads(data.removeprefix("data: "))["error"]["type"] == "server_error"
            assert text.count('"pieces"') == 2 and SECRET not in text and "[DONE]" not in text
            text = (await client.post("/v1/denoise", json=BODY)).text
            *_, last, done = filter(None, text.split("\n\n"))
            assert json.loads(last.removeprefix("data: "))["type"] == "error" and done == "data: [DONE]"
            assert "event:" not in text and service.places == 0

    run(work)


def test_what_is_wrong_from_the_start_is_no_stream(model: Model) -> None:
    async def work() -> None:
        async with serving(model) as (client, service):
            for path, more in ((CHAT, {"stream": True}), ("/v1/denoise", {})):
                response = await client.post(path, json={**BODY, **more, "steps": 99})
                assert response.status_code == 400 and response.json()["error"]["param"] == "steps"
            assert service.places == 0

    run(work)


def test_who_waits_is_kept_connected(model: Model) -> None:
    async def work() -> None:
        async with serving(model, active=1, keepalive=0.02) as (client, _):
            first = asyncio.ensure_future(client.post(CHAT, json={**BODY, "max_tokens": 120}))
            await asyncio.sleep(0.1)
            text = (await client.post(CHAT, json={**BODY, "stream": True})).text
            assert ": keepalive\n\n" in text and text.endswith("data: [DONE]\n\n")
            assert (await first).status_code == 200

    run(work)


def test_the_log_has_a_line_a_request_and_no_contents(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with serving(model) as (client, _):
            await client.post(CHAT, json=BODY)
            await client.post(CHAT, json={**BODY, "stream": True})
            await client.get("/somebody/who/looks/around")
            await client.get("/health")

    with caplog.at_level(logging.INFO, "lavida.serve"):
        run(work)
    lines = [record.getMessage() for record in caplog.records if record.name == "lavida.serve.access"]
    assert [line.rsplit(" s", 1)[0].rsplit(" ", 1)[0] for line in lines] == [
        f"POST {CHAT} 200",
        f"POST {CHAT} 200",
        "GET (unknown) 404",
    ]
    assert all(line.endswith("6 tokens") for line in lines[:2]) and SECRET not in caplog.text
