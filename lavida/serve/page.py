"""Serve the page at `/`: the HTML, its styles and its modules, as they lie in the folder `page`.

Every file is read when the router is made and found again by its whole name, so that no path is ever put together from
what a request says. A browser asks each time whether a file is still the one it has (`no-cache` and an ETag of the
contents) and otherwise loads nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

FOLDER = Path(__file__).with_name("page")
EXAMPLE = Path(__file__).parents[1] / "assets" / "demo.jpg"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}
# What the page may do: nothing but what it brings along. Styles are set by classes and through the object model.
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
        "connect-src 'self'", "media-src 'self' blob:", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    )
)  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, kw_only=True)
class Asset:
    """Hold one file of the page."""

    body: bytes
    kind: str  # its content type
    tag: str  # changes with the contents


def read_assets() -> Mapping[str, Asset]:
    """Read the files of the page, by name."""
    files = [*sorted(FOLDER.iterdir()), EXAMPLE]
    return {file.name: _read(file) for file in files if file.suffix in TYPES}


def router() -> APIRouter:
    """Make the routes of the page: `/` and the files that it loads, below `/page/`."""
    assets, routes = read_assets(), APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    def index(request: Request) -> Response:
        return _answer(assets[INDEX], request)

    @routes.api_route("/page/{name}", methods=["GET", "HEAD"])
    def asset(name: str, request: Request) -> Response:
        if name not in assets:
            raise HTTPException(404, f"the page has no file {name!r}")
        return _answer(assets[name], request)

    return routes


def _read(file: Path) -> Asset:
    body = file.read_bytes()
    return Asset(body=body, kind=TYPES[file.suffix], tag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _answer(asset: Asset, request: Request) -> Response:
    """Return a file, or 304 if the browser has it."""
    headers = {**HEADERS, "ETag": asset.tag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if asset.tag in known:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.kind, headers=headers)
