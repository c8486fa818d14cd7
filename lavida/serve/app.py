"""The application: routes, errors in OpenAI's form, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec

from fastapi import FastAPI

import lavida
from lavida.serve import models
from lavida.serve.pictures import PictureDecoder
from lavida.serve.service import Service
from lavida.serve.settings import Settings


def create_app(service: Service, settings: Settings) -> FastAPI:
    """Return the application that serves the models of a service."""
    decoder = PictureDecoder(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.close()
        decoder.close()

    app = FastAPI(title="lavida", version=lavida.__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(models.router(service))
    for module, arguments in (
        ("lavida.serve.edit", (service, settings, decoder)),
        ("lavida.serve.metrics", (service, settings)),
        ("lavida.serve.page", ()),
    ):
        if find_spec(module) is not None:
            app.include_router(import_module(module).router(*arguments))
    return app
