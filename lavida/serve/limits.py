"""Limits on what a connection may send: seconds for its head, bytes and seconds for its body, depth of its JSON.

`BodyLimits` is ASGI middleware: a body is read and counted before anything parses it. `HttpProtocol` is uvicorn's HTTP
protocol with the two timers that it lacks, for a head that never ends and for a body that goes on after its answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import MutableMapping
from functools import partial
from typing import Any

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from lavida.serve.errors import (
    BusyError,
    DeadlineError,
    FieldError,
    ServeError,
    TooLargeError,
    error_body,
    headers_of,
    status_of,
)
from lavida.serve.settings import Settings

HEAD_BYTES = 16 << 10  # of the first line and the headers
HEAD_SECONDS = 10.0
LINGER_SECONDS = 10.0  # that a client may go on sending what is not read any more
_LONG = 1 << 16  # bytes of a JSON text that is looked at in a thread
_RATE = 50_000  # bytes a second that a body must keep up beside `Settings.body_seconds`
# Strings and numbers in one piece (no backtracking), so that only what nests and divides is counted.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)


class BodyLimits:
    """Read the body of each request under limits, and hand it on in one piece.

    A body is refused at once when it says that it is too long, or when it is. Bodies of all requests together take
    `Settings.bodies` bytes.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = [0]
        try:
            body = await self._read(scope, receive, held)
            if body is None:  # the client is gone
                return
            if body:
                await self._check(body)
        except ServeError as error:
            self._held -= held[0]
            await send_error(send, error)
            return
        try:
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._held -= held[0]

    async def _check(self, body: bytes) -> None:
        check = partial(check_json, body, depth=self._settings.depth, values=self._settings.values)
        if len(body) > _LONG:  # a tenth of a second, in which others are not kept waiting
            await asyncio.to_thread(check)
        else:
            check()

    async def _read(self, scope: Scope, receive: Receive, held: list[int]) -> bytes | None:
        most = self._settings.body
        told = dict(scope["headers"]).get(b"content-length", b"")
        if told.isdigit() and int(told) > most:
            raise _too_large(most)
        chunks: list[bytes] = []
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            while True:
                until = begin + self._settings.body_seconds + held[0] / _RATE
                async with asyncio.timeout_at(until):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    self._held -= held[0]
                    return None
                self._count(len(message.get("body", b"")), held)
                chunks.append(message.get("body", b""))
                if not message.get("more_body"):
                    return b"".join(chunks)
        except TimeoutError:
            raise DeadlineError("the body of the request comes too slowly; send it in one go") from None

    def _count(self, size: int, held: list[int]) -> None:
        held[0] += size
        self._held += size
        if held[0] > self._settings.body:
            raise _too_large(self._settings.body)
        if self._held > self._settings.bodies:
            raise BusyError("too many large requests at a time; try again soon", after=2)


def check_json(body: bytes, *, depth: int, values: int) -> None:
    """Raise FieldError for JSON that nests deeper or holds more values than is read; it is not parsed for that."""
    opens = body.count(b"[") + body.count(b"{")
    if opens <= depth and opens + body.count(b",") <= values:
        return
    level = found = strings = 0
    for token in _TOKEN.finditer(body):
        first = token[0][:1]
        level += (first in b"[{") - (first in b"]}")
        found += first in b"[{,"
        strings += first == b'"'
        if level > depth:
            raise FieldError(f"the JSON nests deeper than {depth} levels; flatten it", code="json_too_deep")
        if found > values or strings > 2 * values + 2:  # keys are strings, too
            raise FieldError(f"the JSON holds more than {values:,} values; send less", code="json_too_long")


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"the request is larger than {most / 2**20:g} MiB; send fewer or smaller pictures")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body first, then waits for the client to go."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return rest.pop() if rest else await receive()

    return again


async def send_error(send: Send, error: ServeError) -> None:
    """Send an error before the application sees the request."""
    body = json.dumps(error_body(error)).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **headers_of(error)}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status_of(error), "headers": encoded})
    await send({"type": "http.response.body", "body": body})


class HttpProtocol(H11Protocol):
    """Speak HTTP with clients that may be slow on purpose: a connection that says nothing whole in time is closed."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Stop the time when a head is whole, and start it with the first byte of the next one."""
        before = self.cycle
        super().data_received(data)
        if self.transport.is_closing():
            self._stop()
        elif self.cycle is not before:
            self._stop()
        elif self._timer is None and self.conn.their_state is h11.IDLE:
            self._wait(HEAD_SECONDS)

    def on_response_complete(self) -> None:
        """Give the rest of a body that is not read a short time."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._wait(LINGER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send_408()
        self.transport.close()

    def _send_408(self) -> None:
        body = json.dumps(error_body(DeadlineError("the head of the request comes too slowly"))).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        try:
            for event in (h11.Response(status_code=408, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # something was said already
            return


def uvicorn_options(settings: Settings) -> MutableMapping[str, Any]:
    """Return what uvicorn must be told so that these limits hold; given to `uvicorn.Config` beside host and port."""
    return {
        "http": HttpProtocol,
        "ws": "none",
        "h11_max_incomplete_event_size": HEAD_BYTES,
        "timeout_keep_alive": 5,
        "limit_concurrency": settings.connections,
        "backlog": 128,
        "server_header": False,
        "proxy_headers": False,
    }
