"""Pieces of HTTP that the routes share: JSON, server-sent events, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

# How a stream of events is declared: by the form of one of them.
EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string", "contentMediaType": "application/json"}, "event": {"type": "string"}},
    "required": ["data"],
}
DONE = b"data: [DONE]\n\n"
KEEPALIVE = b": keepalive\n\n"
_SEND = 30.0  # seconds in which a client must read what was sent to it


class ClientGoneError(Exception):
    """Report that nobody waits for the answer any more."""


class Json(Response):
    """Answer with JSON; what is no Unicode becomes a question mark."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the bytes."""
        return as_json(content)


def as_json(content: Any) -> bytes:
    """Return JSON in UTF-8."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def event(content: Any, name: str | None = None) -> bytes:
    """Return a server-sent event that holds JSON."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + as_json(content) + b"\n\n"


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which is cancelled when the client leaves. Raises ClientGoneError."""
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_leave(request.receive))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGoneError
        return doing.result()
    finally:
        await _end(doing)
        await _end(leaving)


class EventStream(Response):
    """Answer with server-sent events until they end or the client leaves; then the iterator is closed."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], first: bytes = b"", status_code: int = 200) -> None:
        super().__init__(None, status_code, {"cache-control": "no-store", "x-accel-buffering": "no"})
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        self._events, self._first = events, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        sending, leaving = asyncio.ensure_future(self._send(send)), asyncio.ensure_future(_leave(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            await _end(sending)
            await _end(leaving)
            close = getattr(self._events, "aclose", None)
            if close is not None:
                await close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with suppress(TimeoutError):  # of a client that does not read: let go of it
            if self._first:
                await _sent(send, self._first)
            async for chunk in self._events:
                await _sent(send, chunk)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _sent(send: Send, body: bytes) -> None:
    await asyncio.wait_for(send({"type": "http.response.body", "body": body, "more_body": True}), _SEND)


async def _leave(receive: Receive) -> None:
    """Wait until the client leaves; its request was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end; what it failed with is told elsewhere."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
