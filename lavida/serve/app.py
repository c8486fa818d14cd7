"""The application: its routes, its errors in OpenAI's form, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi

import lavida
from lavida.serve import chat, denoise, draw, edit, models, page, responses
from lavida.serve.access import AccessLog
from lavida.serve.asked import Server
from lavida.serve.failures import answer_errors
from lavida.serve.limits import BodyLimits
from lavida.serve.metrics import CountRequests, Metrics
from lavida.serve.pictures import PictureDecoder
from lavida.serve.remote import fetcher
from lavida.serve.security import Guard, PathHider, SecurityHeaders, cors_options
from lavida.serve.service import Service
from lavida.serve.settings import Settings

_ABOUT = """Vision-language models that write by masked diffusion, with the interface of OpenAI's chat completions.

Every option of decoding (`steps`, `block`, `threshold` ...) may stand beside OpenAI's own fields; OpenAI's Python
client sends them as `extra_body`. A field that is not listed here is refused with 400, and the error names it."""


def create_app(service: Service, settings: Settings) -> FastAPI:
    """Return the application that serves the models of a service."""
    decoder, metrics = PictureDecoder(settings, fetch=fetcher(settings)), Metrics()
    metrics.watch_service(service)
    metrics.watch_pictures(decoder)
    folders = {held.model.folder: held.name for held in service.held.values() if held.model.folder is not None}
    server = Server(service=service, settings=settings, decoder=decoder, hide=PathHider(folders))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        decoder.start()
        yield
        await service.close()
        decoder.close()

    app = FastAPI(
        title="lavida",
        version=lavida.__version__,
        summary="Ask about pictures.",
        description=_ABOUT,
        license_info={"name": "Apache-2.0"},
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
    )
    answer_errors(app, server.hide)
    for part in (chat, responses, denoise, edit, draw, models):
        app.include_router(part.router(server))
    app.include_router(metrics.router())
    if settings.page:
        app.include_router(page.router())
    _add_middleware(app, settings, metrics)
    app.openapi = lambda: _document(app, settings)  # type: ignore[method-assign]
    return app


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Put around the routes, from the inside: limits, who may call, other sites, the log, figures, headers."""
    app.add_middleware(BodyLimits, settings=settings)
    app.add_middleware(Guard, settings=settings)
    if settings.origins:
        app.add_middleware(CORSMiddleware, **cors_options(settings))
    app.add_middleware(AccessLog)
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(SecurityHeaders)


def _document(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, without the status that no route has, and with the key."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)  # what does not fit is answered with 400
                content = operation["responses"]["200"].get("content", {})
                if content.get("application/json") == {"schema": {}}:  # FastAPI's own guess, of a route of events
                    del content["application/json"]
                if settings.api_keys and operation["responses"].keys() >= {"401"}:
                    operation["security"] = [{"key": []}]
        parts = made["components"]
        for name in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(name, None)
        if settings.api_keys:
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = made
    return app.openapi_schema
