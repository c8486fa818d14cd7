"""POST /v1/denoise: the canvas after each step, as server-sent events without names."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lavida.serve.asked import Asked, Server, asking
from lavida.serve.failures import ASKING, described
from lavida.serve.http import DONE, EVENT, EventStream, event, unless_gone
from lavida.serve.protocol import DenoiseRequest
from lavida.serve.reply import Reply
from lavida.serve.service import Queued, Written

_EXAMPLE = """data: {"type":"queued","ahead":0}

data: {"type":"step","index":0,"forwards":1,"seconds":0.03,"pieces":[" a",null],"confidence":[0.99,0.4],"committed":[0],"text":"a"}

data: {"type":"answer","text":"a cat","steps":2,"seconds":0.05,"tokens_per_forward":1.0,"finish_reason":"length","object":null,"evidence":[],"usage":{},"chosen":null}

data: [DONE]

"""  # noqa: E501
_EVENTS = {"text/event-stream": {"schema": EVENT, "example": _EXAMPLE}}


def router(server: Server) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["lavida"])

    @routes.post(
        "/v1/denoise",
        response_model=None,
        responses={200: {"description": "The steps and the answer.", "content": _EVENTS}, **ASKING},
    )
    async def watch_an_answer(body: DenoiseRequest, request: Request) -> Response:
        """Answer a dialogue and show the canvas after each step.

        Events: `queued` (answers ahead), `step` (pieces: null is masked, "" the end), `answer`, or `error`.
        """
        events = _events(server, body, request)
        return EventStream(events, await unless_gone(request, anext(events)))

    return routes


async def _events(server: Server, body: DenoiseRequest, request: Request) -> AsyncGenerator[bytes, None]:
    """Yield the events. What is raised before the first is an answer of its own."""
    begun = False
    try:
        async with asking(server, body) as asked, aclosing(asked.stream()) as happenings:
            async for happening in happenings:
                if isinstance(happening, Reply):
                    request.state.tokens = happening.usage.completion
                yield event(_described(asked, happening))
                begun = True
    except Exception as error:
        if not begun:
            raise
        yield event({"type": "error", **described(error, server.hide)})
    yield DONE


def _described(asked: Asked, happening: Queued | Written | Reply) -> dict[str, Any]:
    """Return what happened as plain values."""
    if isinstance(happening, Queued):
        return {"type": "queued", "ahead": happening.ahead}
    if isinstance(happening, Written):
        draft, step = happening.draft, happening.draft.step
        return {
            "type": "step",
            "index": step.index,
            "forwards": step.forwards,
            "seconds": round(happening.seconds, 4),
            "pieces": draft.pieces,
            "confidence": [round(value, 4) for value in step.confidence.tolist()],
            "committed": step.committed.tolist(),
            "text": draft.text,
        }
    answer = happening.answer
    return {
        "type": "answer",
        "text": happening.text,
        "steps": answer.steps,
        "seconds": round(answer.seconds, 4),
        "tokens_per_forward": round(answer.tokens_per_forward, 4),
        "finish_reason": happening.finish,
        "object": json.loads(happening.text) if asked.body.form else None,
        "evidence": list(answer.evidence),
        "usage": happening.usage.to_json(),
        "chosen": None if answer.chosen is None else answer.chosen.to_json(),
    }
