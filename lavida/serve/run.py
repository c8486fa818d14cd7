"""Run a server until a signal: it finishes what it began, and then it stops."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Mapping
from types import FrameType

import uvicorn

from lavida.api import Model
from lavida.errors import RequestError
from lavida.serve.app import create_app
from lavida.serve.limits import uvicorn_options
from lavida.serve.service import Service
from lavida.serve.settings import Settings

_FLUSH = 5  # seconds in which answers that are finished must be sent


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound. Raises RequestError if the address is in use or no one's."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(f"cannot serve at {host} port {port} ({reason}); choose another --port or --host") from None


def address_of(sock: socket.socket) -> str:
    """Return the address of the page that is served at a socket."""
    host, port = sock.getsockname()[:2]
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def serve(
    models: Mapping[str, Model],
    settings: Settings,
    sock: socket.socket,
    *,
    started: Callable[[], None] = lambda: None,
) -> int:
    """Serve until a signal and return the exit code: 0, or 1 if answers were given up.

    The first SIGTERM or SIGINT lets finish what was begun, for `Settings.drain` seconds at most; a second ends it.
    """
    _log_to_stderr()
    service = Service(models, settings)
    config = uvicorn.Config(
        create_app(service, settings),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_FLUSH,
        **uvicorn_options(settings),
    )
    server = _Server(config, service, settings.drain, started)
    asyncio.run(server.serve(sockets=[sock]))
    return int(server.gave_up)


class _Server(uvicorn.Server):
    """Stop in the way that `serve` describes."""

    def __init__(self, config: uvicorn.Config, service: Service, drain: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self.gave_up = False
        self._service, self._seconds, self._on_start = service, drain, started
        self._signals = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop at the first signal, and end at the second."""
        if self._loop is None:
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._draining = asyncio.ensure_future(self._drain(self._seconds))
        elif self._draining is not None:
            self._draining.cancel()
            self._draining = asyncio.ensure_future(self._drain(0.0))

    async def _drain(self, seconds: float) -> None:
        if not await self._service.drain(seconds):
            self.gave_up = True
            await self._service.close()
        self.should_exit = True


def _log_to_stderr() -> None:
    """Write one line for each request; nothing of what it holds."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log = logging.getLogger("lavida.serve")
    log.setLevel(logging.INFO)
    log.handlers, log.propagate = [handler], False
