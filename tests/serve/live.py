"""The whole server in this process, on a free port of loopback: a thread of uvicorn around a tiny model."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from lavida.api import Model
from lavida.serve.app import create_app
from lavida.serve.limits import uvicorn_options
from lavida.serve.run import listen
from lavida.serve.service import Service
from lavida.serve.settings import Settings
from tests.tiny import tiny_model


@dataclass
class Live:
    """A running server."""

    host: str
    port: int
    app: FastAPI
    service: Service

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Post JSON, or `content=` as it is."""
        if body is not None:
            options["json"] = body
        return httpx.post(self.url + path, timeout=60, **options)

    def raw(self, data: bytes, seconds: float = 30.0) -> bytes:
        """Send bytes and return what comes until the server closes the connection."""
        with socket.create_connection((self.host, self.port), timeout=seconds) as sock:
            sock.sendall(data)
            return self.rest(sock)

    @staticmethod
    def rest(sock: socket.socket) -> bytes:
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
        return b"".join(parts)


@contextmanager
def live(model: Model | None = None, **settings: Any) -> Iterator[Live]:
    """Run a server with these settings."""
    chosen = Settings(**settings)
    service = Service({"tiny": model or tiny_model()}, chosen)
    app = create_app(service, chosen)
    config = uvicorn.Config(app, log_config=None, access_log=False, **uvicorn_options(chosen))
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])), daemon=True)
        thread.start()
        try:
            host, port = sock.getsockname()[:2]
            wait = httpx.HTTPTransport(retries=5)
            with httpx.Client(transport=wait) as client:
                assert client.get(f"http://{host}:{port}/health", timeout=60).status_code in (200, 403)
            yield Live(host=host, port=port, app=app, service=service)
        finally:
            server.should_exit = True
            thread.join(60)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of an answer, in its one form."""
    body = response.json()
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}, body
    message = body["error"]["message"]
    assert message and "\n" not in message and "Traceback" not in message, message
    return body["error"]


def chat(*addresses: str, question: str = "What is this?", **options: Any) -> dict[str, Any]:
    """The body of a chat about pictures."""
    pictures = [{"type": "image_url", "image_url": {"url": one}} for one in addresses]
    content = [*pictures, {"type": "text", "text": question}]
    return {"messages": [{"role": "user", "content": content}], "steps": 2, **options}


def as_json(body: Any) -> bytes:
    """JSON as bytes."""
    return json.dumps(body).encode()
