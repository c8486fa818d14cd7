"""POST /v1/images/generations: pictures drawn from a description, in OpenAI's form, and parts of pictures redrawn.

With `stream`, the picture so far comes at some steps, as OpenAI's clients know it; with `draft`, every step comes too.
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from lavida.api import Model
from lavida.decode.pause import pause
from lavida.draw.drafts import Draft, drafts
from lavida.draw.options import MOST, DrawOptions, draw_options
from lavida.draw.request import Drawing, DrawRequest, Easel
from lavida.serve.asked import Server
from lavida.serve.bounds import LETTERS
from lavida.serve.errors import FieldError
from lavida.serve.failures import ASKING, described
from lavida.serve.http import DONE, EVENT, KEEPALIVE, EventStream, Json, event, unless_gone
from lavida.serve.protocol import Body

T = TypeVar("T")

PIXELS = 4 * 1024 * 1024  # of all pictures of a request
STEPS = 256
PARTIAL = 8  # pictures before the last
_FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}

Address = Annotated[str, Field(description="`data:image/...;base64,...`")]


class DrawBody(Body):
    """Ask for pictures; `image` and `mask` keep a picture where the mask is dark."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "a red bus", "size": "256x256", "steps": 8}]})
    model: str | None = Field(default=None, description="As GET /v1/models lists them; the first if none is named.")
    prompt: Annotated[str, Field(max_length=LETTERS)]
    n: int = Field(default=1, ge=1, le=MOST, description="Pictures, of seeds one after the other.")
    size: str = Field(default="512x512", description="WIDTHxHEIGHT in pixels, or one number for both.")
    response_format: Literal["b64_json"] = Field(default="b64_json", description="The server keeps no files.")
    output_format: Literal["png", "jpeg", "webp"] = "png"
    seed: int = 0
    steps: int = Field(default=15, ge=1, le=STEPS, description="Forward passes over the picture.")
    guidance: float = Field(default=3.5, ge=0, le=10, description="0 makes one pass a step.")
    temperature: float = Field(default=1.0, ge=0, le=10, description="Of the noise on the confidence.")
    schedule: str = Field(default="cosine", description="cosine, linear, sigmoid, pow2, pow3 ...")
    cache: Literal["none", "block", "prefix"] = "none"
    refresh: int | None = Field(default=None, ge=1, description="With cache block.")
    room: int = Field(default=512, ge=3, le=4096, description="Tokens that the description may take.")
    image: Address | None = None
    mask: Address | None = None
    stream: bool | None = Field(default=None, description="Events instead of an answer; one picture.")
    partial_images: int | None = Field(
        default=None, ge=0, le=PARTIAL, description="With stream: pictures before the last, at most; some are left out "
        "where they would slow the drawing down.",
    )  # fmt: skip
    draft: bool | None = Field(default=None, description="With stream: an event for each step, with the open places.")
    timeout: float | None = Field(default=None, gt=0, description="Seconds after which it is given up: 408.")

    def options(self) -> DrawOptions:
        """Return the options of drawing. Raises RequestError for a size or schedule that there is not."""
        names = ("size", "seed", "steps", "guidance", "temperature", "schedule", "cache", "refresh", "room")
        return draw_options({name: getattr(self, name) for name in names} | {"count": self.n})

    def check(self) -> None:
        """Raise FieldError for fields that do not go together."""
        for name in ("partial_images", "draft"):
            if getattr(self, name) and not self.stream:
                raise FieldError(f"{name} belongs to a stream; set stream", param=name)
        if self.stream and self.n > 1:
            raise FieldError("a stream draws one picture; leave n or stream out", param="n")
        if (self.image is None) != (self.mask is None):
            raise FieldError("image and mask go together; give both or neither", param="mask")


class DrawnPicture(BaseModel):
    """Hold a picture."""

    b64_json: str
    seed: int


class DrawAnswer(BaseModel):
    """Hold the pictures of a request."""

    created: int
    model: str
    data: list[DrawnPicture]
    output_format: str
    size: str
    steps: int = Field(description="Forward passes over each picture (NFE).")
    seconds: float


def router(server: Server) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["Pictures"])
    events = {"text/event-stream": {"schema": EVENT}}
    answer: dict[str, Any] = {"model": DrawAnswer, "description": "The pictures.", "content": events}

    @routes.post("/v1/images/generations", response_model=None, responses={200: answer, **ASKING})
    async def draw_pictures(body: DrawBody, request: Request) -> Response:
        """Draw pictures from a description, with a model whose pictures are codes (MMaDA).

        Events of a stream: `image_generation.partial_image` and `image_generation.completed` as OpenAI's; with `draft`,
        `lavida.step` after each step; `error`.
        """
        body.check()
        if body.stream:
            told = _events(server, body)
            return EventStream(told, await unless_gone(request, anext(told)))
        return Json(await unless_gone(request, _draw(server, body)))

    return routes


async def _drawn(server: Server, body: DrawBody, work: Callable[[DrawRequest], T]) -> tuple[str, T]:
    """Return the name of the model, and what `work` makes of the request on the engine's thread.

    Raises:
        LavidaError: As of `DrawBody.options`, `Service.place`, `PictureDecoder` and `Model.draw_request`.
    """
    options = body.options()
    if body.n * options.width * options.height > PIXELS:
        raise FieldError(f"{body.n} pictures of {body.size} are too many pixels; {PIXELS:,} are drawn", param="n")
    async with server.service.place(body.model) as place:
        Easel.of(place.held.model.reader)  # before pictures are decoded
        shown = [address for address in (body.image, body.mask) if address is not None]
        decoded = await server.decoder.decode_all(shown, any_shape=True, official=False)
        image, mask = decoded or (None, None)

        def call(model: Model) -> T:
            return work(model.draw_request(body.prompt, image=image, mask=mask, options=options))

        return place.held.name, await server.service.call(place.held.name, call, deadline=body.timeout, place=place)


async def _draw(server: Server, body: DrawBody) -> dict[str, Any]:
    name, drawn = await _drawn(server, body, DrawRequest.run)
    data = [{"b64_json": await _encoded(one.image, body.output_format), "seed": one.seed} for one in drawn]
    return {
        "created": int(time.time()),
        "model": name,
        "data": data,
        "output_format": body.output_format,
        "size": _size(drawn[0].image),
        "steps": drawn[0].steps,
        "seconds": drawn[0].seconds,
    }


@dataclass(frozen=True, kw_only=True)
class _Done:
    """Hold the picture that a stream ends with."""

    drawing: Drawing
    showing: float  # seconds for the pictures before it
    prompt: int  # tokens
    drawn: int  # codes


def _watched(request: DrawRequest, most: int, tell: Callable[[Draft], None]) -> _Done:
    """Draw a picture and tell of each step; between two of them others advance."""
    last: Draft | None = None
    for last in drafts(request, most):
        tell(last)
        pause()
    assert last is not None, "a picture takes a step at least"
    (job,) = request.jobs
    assert not callable(job.prompt) and job.options.counts is not None, "set when the job was made and begun"
    drawing = request.drawing(0, last.seconds - last.showing)
    return _Done(drawing=drawing, showing=last.showing, prompt=job.prompt.length, drawn=sum(job.options.counts))


async def _happenings(server: Server, body: DrawBody) -> AsyncGenerator[Draft | tuple[str, _Done] | None, None]:
    """Yield each step, then the model's name and the picture; None where nothing happened for a while."""
    came: asyncio.Queue[Draft | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(draft: Draft) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody listens
            loop.call_soon_threadsafe(came.put_nowait, draft)

    most = body.partial_images or 0
    task = asyncio.ensure_future(_drawn(server, body, lambda request: _watched(request, most, tell)))
    task.add_done_callback(lambda _: came.put_nowait(None))
    try:
        while True:
            try:
                draft = await asyncio.wait_for(came.get(), server.settings.keepalive)
            except TimeoutError:
                yield None
                continue
            if draft is None:
                break
            yield draft
        yield await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _events(server: Server, body: DrawBody) -> AsyncGenerator[bytes, None]:
    """Yield the events. What is raised before the first is an answer of its own."""
    begun, shown = False, 0
    try:
        async with aclosing(_happenings(server, body)) as happenings:
            async for happening in happenings:
                for chunk in await _chunks(body, happening, shown):
                    yield chunk
                    begun = True
                shown += isinstance(happening, Draft) and happening.image is not None
    except Exception as error:
        if not begun:
            raise
        yield event({"type": "error", **described(error, server.hide)}, "error")
    yield DONE


async def _chunks(body: DrawBody, happening: Draft | tuple[str, _Done] | None, shown: int) -> list[bytes]:
    """Return what a client is told; `shown` pictures were shown before."""
    if happening is None:
        return [KEEPALIVE]
    if not isinstance(happening, Draft):
        return [_event("completed", await _picture(body, happening[1].drawing.image) | _facts(*happening))]
    sketch, chunks = happening.sketch, []
    if happening.image is not None:
        place = {"partial_image_index": shown, "lavida": {"index": sketch.step.index}}
        chunks.append(_event("partial_image", await _picture(body, happening.image) | place))
    if body.draft:
        step = {
            "index": sketch.step.index,
            "forwards": sketch.step.forwards,
            "seconds": round(happening.seconds, 4),
            "shape": list(sketch.shape),
            "committed": sketch.step.committed.tolist(),
            "open": (sketch.codes < 0).nonzero()[:, 0].tolist(),
        }
        chunks.append(event({"type": "lavida.step", **step}, "lavida.step"))
    return chunks


def _event(name: str, facts: dict[str, Any]) -> bytes:
    name = f"image_generation.{name}"
    return event({"type": name, **facts}, name)


async def _picture(body: DrawBody, image: Image.Image) -> dict[str, Any]:
    """Return a picture of a stream in OpenAI's form."""
    return {
        "b64_json": await _encoded(image, body.output_format),
        "created_at": int(time.time()),
        "size": _size(image),
        "quality": "auto",
        "background": "opaque",
        "output_format": body.output_format,
    }


def _facts(model: str, done: _Done) -> dict[str, Any]:
    drawing, kept = done.drawing, len(done.drawing.codes) - done.drawn
    return {
        "usage": {
            "input_tokens": done.prompt + kept,
            "input_tokens_details": {"text_tokens": done.prompt, "image_tokens": kept},
            "output_tokens": done.drawn,
            "total_tokens": done.prompt + len(drawing.codes),
        },
        "lavida": {
            "model": model,
            "seed": drawing.seed,
            "steps": drawing.steps,
            "seconds": round(drawing.seconds, 4),
            "showing": round(done.showing, 4),
        },
    }


def _size(image: Image.Image) -> str:
    return f"{image.width}x{image.height}"


async def _encoded(image: Image.Image, form: str) -> str:
    file = io.BytesIO()
    await asyncio.to_thread(image.save, file, _FORMATS[form])
    return base64.b64encode(file.getvalue()).decode()
