"""Routes that tell what is here: the models, and whether the server is alive and ready."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lavida.decode.calibration import find_calibration
from lavida.decode.options import OPTIONS, DecodeOptions
from lavida.decode.resolve import checked_options
from lavida.serve.asked import Server
from lavida.serve.failures import errors
from lavida.serve.http import Json
from lavida.serve.schemas import ModelEntry, ModelList, State
from lavida.serve.service import Held

_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string", tuple: "array"}


def router(server: Server) -> APIRouter:
    """Return the routes."""
    routes, created = APIRouter(), int(time.time())

    @routes.get(
        "/v1/models",
        response_model=None,
        tags=["OpenAI"],
        responses={200: {"model": ModelList, "description": "The models."}, **errors(401, 403)},
    )
    async def list_models() -> Response:
        """List the models, with what each can do and its options of decoding under `lavida`."""
        return Json({"object": "list", "data": [_entry(held, created) for held in server.service.held.values()]})

    @routes.get(
        "/v1/models/{model:path}",
        response_model=None,
        tags=["OpenAI"],
        responses={200: {"model": ModelEntry, "description": "The model."}, **errors(400, 401, 403, 404)},
    )
    async def describe_a_model(model: str) -> Response:
        """Describe one model."""
        return Json(_entry(server.service.find(model), created))

    @routes.get(
        "/health",
        response_model=None,
        tags=["Operation"],
        responses={200: {"model": State, "description": "It is alive."}, **errors(403)},
    )
    async def health(request: Request) -> Response:
        """Tell that the server is alive."""
        request.state.quiet = True
        return Json({"status": "ok"})

    @routes.get(
        "/ready",
        response_model=None,
        tags=["Operation"],
        responses={
            200: {"model": State, "description": "It takes requests."},
            503: {"model": State, "description": "It is about to stop."},
            **errors(403),
        },
    )
    async def ready(request: Request) -> Response:
        """Tell whether the server takes requests."""
        request.state.quiet = True
        open_ = not server.service.closing
        return Json({"status": "ready" if open_ else "closing"}, 200 if open_ else 503)

    return routes


def _entry(held: Held, created: int) -> dict[str, Any]:
    return {"id": held.name, "object": "model", "created": created, "owned_by": "lavida", "lavida": _facts(held)}


def _facts(held: Held) -> dict[str, Any]:
    model = held.model
    config = model.net.config
    table = find_calibration(model.folder) if model.folder else None
    return {
        "family": config.family,
        "vision": config.reads_pictures,
        "autoregressive": config.denoiser.autoregressive,
        "draws": config.codes is not None,
        "evidence": config.evidence is not None,
        "calibrated": table is not None and table.quality is not None,
        "longest": config.denoiser.max_length,
        "options": _options(held),
    }


def _options(held: Held) -> list[dict[str, Any]]:
    """Return the options of decoding with the model's own defaults."""
    model = held.model
    defaults = checked_options(model.net.config, model.tokenizer, {})
    return [
        {
            "name": declared.name,
            "help": option.help,
            "type": _TYPES[option.kind],
            # The ids that stand for nothing are banned too, whatever a request says.
            "default": [] if declared.name == "banned" else getattr(defaults, declared.name),
            "choices": [choice for choice in option.choices if choice is not None] or None,
            "minimum": option.minimum,
            "above": option.above,
            "maximum": option.maximum,
            "group": option.group,
        }
        for declared in fields(DecodeOptions)
        if (option := OPTIONS[declared.name]).kind in _TYPES
    ]
