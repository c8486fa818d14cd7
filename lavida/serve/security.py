"""Decide who may call the server, and what its answers tell a browser and a stranger.

`Guard` and `SecurityHeaders` are ASGI middleware. The guard looks at the head of a request alone, before a byte of the
body is read.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

import lavida
from lavida.serve.errors import ForbiddenError, KeyRefusedError, MediaTypeError, ServeError
from lavida.serve.limits import send_error
from lavida.serve.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN = ("/", "/health", "/ready", "/favicon.ico")  # paths that need no key, and all below /page/: the page, no data
_TEMPORARY = Path(tempfile.gettempdir())
# Of every answer that does not say otherwise itself; the page has a policy of its own.
HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class ApiKeys:
    """Compare keys in constant time: all of them, by hashes of one length, whether or not one fits."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._hashes = [_hash(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def accept(self, key: str) -> bool:
        """Return whether the key is one of them."""
        given, found = _hash(key), False
        for known in self._hashes:
            found |= hmac.compare_digest(known, given)
        return found

    def check(self, authorization: str) -> None:
        """Raise KeyRefusedError unless the header `Authorization` holds one of the keys."""
        scheme, _, key = authorization.partition(" ")
        if not authorization:
            raise KeyRefusedError("this server asks for a key; send it as Authorization: Bearer KEY")
        if scheme.lower() != "bearer" or not self.accept(key.strip()):
            raise KeyRefusedError("the key is not one of this server's; check it")


class Guard:
    """Let in the requests that name this server, come from no foreign page, and hold a key if one is asked for."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._keys = app, ApiKeys(settings.api_keys)
        self._hosts = allowed_hosts(settings)
        self._origins = frozenset(map(str.lower, settings.origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        try:
            self._check(scope)
        except ServeError as error:
            await send_error(send, error)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = _headers(scope)
        host, method, path = headers.get("host", ""), scope["method"], scope["path"]
        self._check_host(host)
        self._check_origin(headers, host)
        if self._keys and method != "OPTIONS" and path not in OPEN and not path.startswith("/page/"):
            self._keys.check(headers.get("authorization", ""))
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        # A page of another site may post plain text and forms without asking; JSON it may not.
        if method == "POST" and kind != "application/json":
            raise MediaTypeError("the body must be JSON; send Content-Type: application/json")

    def _check_host(self, host: str) -> None:
        """Refuse another name: that of a page which had its own name resolved to this machine (DNS rebinding)."""
        if self._hosts is not None and _name_of(host) not in self._hosts:
            raise ForbiddenError("the request names another host; start the server with that name, or use localhost")

    def _check_origin(self, headers: Mapping[str, str], host: str) -> None:
        origin = headers.get("origin", "").lower()
        if not origin or origin in self._origins or "*" in self._origins:
            return
        if urlsplit(origin).netloc != host.lower():
            raise ForbiddenError("the request comes from a page of another site; add it to the allowed origins")


class SecurityHeaders:
    """Add to every answer the headers of `HEADERS` that it does not have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_missing(message.get("headers", []))]
            await send(message)

        await self._app(scope, receive, with_headers)


def allowed_hosts(settings: Settings) -> frozenset[str] | None:
    """Return the names that the server is called by; None where any is right.

    On loopback these are loopback's and `Settings.hosts`; otherwise `Settings.hosts`, if there are any.
    """
    given = frozenset(map(str.lower, settings.hosts))
    if is_loopback(settings.host):
        return given | frozenset(LOOPBACK) | {settings.host.lower()}
    return given or None


def is_loopback(host: str) -> bool:
    """Return whether a server that is bound to `host` is reached from its own machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def cors_options(settings: Settings) -> dict[str, Any]:
    """Return the arguments of Starlette's CORSMiddleware; it is left out where no origin is allowed."""
    return {
        "allow_origins": list(settings.origins),
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["authorization", "content-type"],
        "expose_headers": ["retry-after"],
        "max_age": 600,
    }


class PathHider:
    """Take paths of the server out of messages: a message may name a model by its folder."""

    def __init__(self, names: Mapping[Path, str]) -> None:
        """Replace each of these folders, and what is named below it, by a name.

        The folders of the installation, the user and temporary files are replaced without being told.
        """
        own = dict.fromkeys((Path(lavida.__file__).parent, Path(sys.prefix), Path.cwd(), _home(), _TEMPORARY), "")
        known = {str(path): name for path, name in {**own, **names}.items() if len(path.parts) > 1}
        self._names = sorted(known.items(), key=lambda one: -len(one[0]))  # what lies deeper first

    def __call__(self, message: str) -> str:
        """Return the message without paths; of a file that has no name, its last part stays."""
        for path, name in self._names:
            below = re.escape(path) + r"(?![^\s/:;,'\")])((?:/[^\s/:;,'\")]+)*)/?"
            for found in reversed(list(re.finditer(below, message))):
                kept = name or found[1].rpartition("/")[2] or "the server"
                message = message[: found.start()] + kept + message[found.end() :]
        return message


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without one
        return _TEMPORARY


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _missing(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return those of `HEADERS` that an answer does not have."""
    there = {name.lower() for name, _ in headers}
    return [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there]


def _name_of(host: str) -> str:
    """Return a Host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
