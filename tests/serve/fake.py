"""A server that replays what the shipped models once wrote, so that the page is tested without a model.

`recorded.json` holds streams of POST /v1/denoise and answers of /v1/infill and /v1/audit about the demo picture.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from lavida.serve import page

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text("utf-8"))
EVIDENCE = [
    {
        "names": [{"name": "Egyptian cat", "probability": 0.81}, {"name": "tabby cat", "probability": 0.11}],
        "boxes": [{"name": "cat", "score": 0.93, "colour": "orange", "box": [0.12, 0.02, 0.86, 0.99]}],
        "monochrome": False,
        "brightness": 0.46,
        "texts": [{"text": "CHELSEA", "box": [0.05, 0.82, 0.3, 0.92]}],
    }
]
UNSURE = [0.34, 0.66, 0.9, 0.97, 0.999]  # one confidence of each class


def _option(
    name: str, kind: str, default: Any, help: str, group: str = "Canvas and steps", **rest: Any
) -> dict[str, Any]:
    bounds = {"choices": None, "minimum": None, "maximum": None}
    return {"name": name, "type": kind, "default": default, "help": help, "group": group, **bounds, **rest}


OPTIONS = [
    _option("length", "int", 16, "Tokens of the canvas, the longest answer possible.", minimum=1, maximum=4096),
    _option("steps", "int", None, "Forward passes over the canvas; fewer is faster.", minimum=1),
    _option("schedule", "str", "shift", "Tokens per step over time.", choices=["linear", "cosine", "shift"]),
    _option("remasking", "str", "confidence", "Which positions are committed.", choices=["confidence", "margin"]),
    _option("cache", "str", "prefix", "What is computed once.", "Computation", choices=["prefix", "none"]),
    _option("temperature", "float", 0.0, "Noise of the choice of tokens.", "Choice of tokens", minimum=0),
    _option("early_stop", "bool", True, "Finish when an end token is committed.", choices=None),
]


class Fake:
    """Hold the app, what it was asked, and how it behaves."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.key = ""  # asked for, if there is one
        self.pause = 0.0  # seconds between two frames
        self.twin = self.draws = False
        self.evidence: list[dict[str, Any]] = []
        self.unsure = False  # confidences of every class instead of the recorded ones
        self.refuse = ""  # the message of a 400 for every POST
        self.app = FastAPI()
        self.app.include_router(page.router())
        self.app.middleware("http")(self._guard)
        self.app.get("/v1/models")(self._models)
        self.app.post("/v1/denoise")(self._denoise)
        self.app.post("/v1/infill")(self._infill)
        self.app.post("/v1/audit")(self._audit)

    def reset(self) -> None:
        """Behave as at the start again."""
        self.asked.clear()
        self.key, self.pause, self.evidence, self.unsure, self.refuse = "", 0.0, [], False, ""
        self.twin = self.draws = False

    async def _guard(self, request: Request, call_next: Any) -> Response:
        if request.url.path.startswith("/v1/"):
            if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
                return _error(401, "this server asks for a key; send it as Authorization: Bearer KEY")
            if self.refuse and request.method == "POST":
                return _error(400, self.refuse)
        return await call_next(request)

    def _models(self) -> dict[str, Any]:
        facts = {"family": "lavida", "vision": True, "evidence": False, "calibrated": False, "options": OPTIONS}
        names = [("lavida-mini", False), *([("twin", True)] if self.twin else [])]
        return {
            "object": "list",
            "data": [
                {
                    "id": name,
                    "object": "model",
                    "created": 0,
                    "owned_by": "lavida",
                    "lavida": {**facts, "autoregressive": ar, "draws": self.draws and not ar},
                }
                for name, ar in names
            ],
        }

    async def _body(self, request: Request, route: str) -> dict[str, Any]:
        body = await request.json()
        self.asked.append((route, body))
        return body

    async def _denoise(self, request: Request) -> StreamingResponse:
        body = await self._body(request, "denoise")
        return StreamingResponse(self._replay(_stream_for(body)), media_type="text/event-stream")

    async def _replay(self, name: str) -> AsyncIterator[str]:
        yield f"data: {json.dumps({'type': 'queued', 'ahead': 0})}\n\n"
        for event in RECORDED[name]:
            if self.unsure and event["type"] == "step":
                event = {**event, "confidence": [UNSURE[i % len(UNSURE)] for i in range(len(event["pieces"]))]}
            if event["type"] == "answer":
                event = {**event, "evidence": self.evidence}
            await asyncio.sleep(self.pause)
            yield f"data: {json.dumps(event)}\n\n"
        yield "data: [DONE]\n\n"

    async def _infill(self, request: Request) -> dict[str, Any]:
        await self._body(request, "infill")
        return RECORDED["infill"]

    async def _audit(self, request: Request) -> dict[str, Any]:
        await self._body(request, "audit")
        return RECORDED["audit"]


def _error(status: int, message: str) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": error}, status)


def _stream_for(body: dict[str, Any]) -> str:
    if "response_format" in body:
        return "form"
    if body["model"] == "twin":
        return "twin"
    content = body["messages"][-1]["content"]
    question = content if isinstance(content, str) else content[-1]["text"]
    if not question.isascii():
        return "chinese"
    if body.get("steps") in (1, 2, 4, 8):
        return f"describe-{body['steps']}"
    return "describe" if question.startswith("Describe") else "ask"


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve an application on a free port of loopback from a thread; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(10)
