"""POST /v1/infill, /v1/audit and /v1/extract: texts that are there are completed and judged, objects are read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response
from PIL import Image
from pydantic import ConfigDict, Field, create_model

from lavida.api import DESCRIBE, Model
from lavida.decode.request import turns_of
from lavida.edit.audit import facts_of
from lavida.edit.extract import extraction_of, form_question
from lavida.edit.infill import DECODE, METHODS, MOST
from lavida.serve.asked import Server
from lavida.serve.bounds import HOLES, LETTERS, TOKENS, check_holes, check_tokens
from lavida.serve.edit_answers import AuditAnswer, ExtractAnswer, InfillAnswer
from lavida.serve.errors import FieldError
from lavida.serve.failures import ASKING
from lavida.serve.http import Json, unless_gone
from lavida.serve.protocol import OPTION_NAMES, PIXEL, Ask, Body
from lavida.serve.service import Place

T = TypeVar("T")

_FORMS = ("regex", "choices")  # options that say another form than a schema

Text = Annotated[str, Field(max_length=LETTERS)]
Address = Annotated[str, Field(description="`data:image/...;base64,...`, as in `image_url` of a chat.")]


class _Work(Body):
    """Declare what the three have in common."""

    model: str | None = Field(default=None, description="As GET /v1/models lists them; the first if none is named.")
    question: Text | None = Field(default=None, description="What the text or the object answers.")
    timeout: float | None = Field(default=None, gt=0, description="Seconds after which it is given up: 408.")


class _Shown(_Work):
    image: Address | None = Field(default=None, description="A picture; none for a model that reads text only.")
    images: Annotated[list[Address], Field(max_length=1000)] | None = Field(default=None, description="Several.")

    @property
    def addresses(self) -> list[str]:
        """The pictures. Raises FieldError for one and several."""
        if self.image is not None and self.images is not None:
            raise FieldError("image and images say the same; give one", param="images")
        return [self.image] if self.image is not None else list(self.images or ())


def _options(names: Sequence[str]) -> Any:
    """Return a model of these options of decoding, as a chat declares them."""
    chosen = {name: (Ask.model_fields[name].annotation, Ask.model_fields[name]) for name in names}
    return create_model("Options", __base__=_Shown, **chosen)  # type: ignore[call-overload]


class InfillRequest(_options(DECODE)):  # type: ignore[misc]
    """Ask for the words in the holes of a text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"image": PIXEL, "text": "a [M:1] picture of [M].", "alternatives": 2}]}
    )
    text: Text = Field(description=f"Holds [M], [M:4] or [M:2-5]; {HOLES} holes and {TOKENS} tokens at most.")
    how: Literal[METHODS] = Field(default="search", description="fim asks a model that was taught [S] and [FIM].")  # type: ignore[valid-type]
    most: int = Field(default=MOST, ge=1, le=64, description="Tokens that a hole [M] may take.")
    alternatives: int = Field(default=3, ge=0, le=20, description="Other fillings of each hole to name.")
    length: int = Field(default=16, ge=1, le=TOKENS, description="Tokens of the canvas, at least.")
    cache: Literal["prefix", "none"] | None = Field(default=None, description="Default: the model's own way.")


class AuditRequest(_Work):
    """Ask what of a text the picture supports."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image": PIXEL, "text": "a blue square."}]})
    image: Address
    text: Text = Field(description=f"At most {TOKENS} tokens.")
    cache: Literal["prefix", "none"] | None = Field(default=None, description="Default: the model's own way.")


class ExtractRequest(_options([name for name in OPTION_NAMES if name not in _FORMS])):  # type: ignore[misc]
    """Ask for an object that fits a JSON Schema; all options of decoding may be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "image": PIXEL,
                    "schema": {
                        "type": "object",
                        "properties": {"colour": {"enum": ["red", "green", "blue"]}},
                        "required": ["colour"],
                        "additionalProperties": False,
                    },
                }
            ]
        }
    )
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema; one that cannot be kept is refused.")


def router(server: Server) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["Texts and objects"])

    def declared(answer: type, description: str) -> dict[int | str, dict[str, Any]]:
        return {200: {"model": answer, "description": description}, **ASKING}

    @routes.post("/v1/infill", response_model=None, responses=declared(InfillAnswer, "The text, its holes filled."))
    async def fill_holes(body: InfillRequest, request: Request) -> Response:
        """Fill the holes of a text with what fits the picture and both sides of them; each with its alternatives."""
        return Json(await unless_gone(request, _infill(server, body)))

    @routes.post("/v1/audit", response_model=None, responses=declared(AuditAnswer, "The text, word by word."))
    async def audit_a_text(body: AuditRequest, request: Request) -> Response:
        """Tell how likely each word of a text is with the picture and without it."""
        return Json(await unless_gone(request, _audit(server, body)))

    @routes.post("/v1/extract", response_model=None, responses=declared(ExtractAnswer, "The object."))
    async def extract_an_object(body: ExtractRequest, request: Request) -> Response:
        """Read an object of a schema off a picture, with a confidence for each field."""
        return Json(await unless_gone(request, _extract(server, body)))

    return routes


async def _infill(server: Server, body: InfillRequest) -> dict[str, Any]:
    options = {name: getattr(body, name) for name in (*DECODE, "how", "most", "alternatives", "length", "cache")}
    given = {name: value for name, value in options.items() if value is not None}
    async with _place(server, body, body.addresses) as (place, images):
        check_holes(place.held.model, body.text, most=body.most)
        found, seconds = await _called(
            server,
            body,
            place,
            lambda model: model.infill(images or None, body.text, question=body.question or DESCRIBE, **given),
        )
    return {"model": place.held.name, **asdict(found), "seconds": seconds}


async def _audit(server: Server, body: AuditRequest) -> dict[str, Any]:
    async with _place(server, body, [body.image]) as (place, images):
        check_tokens(place.held.model, body.text)
        found, seconds = await _called(
            server,
            body,
            place,
            lambda model: model.audit(images[0], body.text, question=body.question or DESCRIBE, cache=body.cache),
        )
    return {"model": place.held.name, **facts_of(found), "seconds": seconds}


async def _extract(server: Server, body: ExtractRequest) -> dict[str, Any]:
    given = {name: getattr(body, name) for name in OPTION_NAMES if name not in _FORMS}
    options = {name: value for name, value in given.items() if value is not None} | {"schema": body.schema_}
    official = options.get("compat") == "official"
    async with _place(server, body, body.addresses, official=official) as (place, images):
        reply = await server.service.answer(
            place.held.name,
            turns_of(images or None, body.question or form_question(body.schema_)),
            options,
            deadline=body.timeout,
            place=place,
        )
    found = extraction_of(reply.request, body.schema_, reply.usage.seconds)
    return {
        "model": place.held.name,
        "object": found.value,
        "confidence": found.confidence,
        "text": found.text,
        "steps": found.steps,
        "seconds": found.seconds,
        "usage": reply.usage.to_json(),
    }


@asynccontextmanager
async def _place(
    server: Server, body: _Work, addresses: Sequence[str], *, official: bool = False
) -> AsyncIterator[tuple[Place, list[Image.Image]]]:
    """Take a place of the queue and decode the pictures; errors as of `Service.place` and `PictureDecoder`."""
    async with server.service.place(body.model) as place:
        model = place.held.model
        if addresses:
            model.reader.images.require()
        shape = model.net.config.traits.any_shape
        yield place, await server.decoder.decode_all(addresses, any_shape=shape, official=official)


async def _called(server: Server, body: _Work, place: Place, work: Callable[[Model], T]) -> tuple[T, float]:
    """Return the result of `work` on the engine's thread, and the seconds it took there."""

    def timed(model: Model) -> tuple[T, float]:
        start = time.perf_counter()
        return work(model), time.perf_counter() - start

    return await server.service.call(place.held.name, timed, deadline=body.timeout, place=place)
