"""Routes that tell what is here: the models, and whether the server is alive and ready."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from lavida.serve.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/health")
    async def health() -> dict[str, Any]:
        """Tell that the server is alive."""
        return {"status": "ok"}

    @routes.get("/ready")
    async def ready() -> JSONResponse:
        """Tell whether the server takes requests."""
        return JSONResponse({"status": "ready" if service.ready else "closing"}, 200 if service.ready else 503)

    return routes
