"""POST /v1/images/generations: pictures drawn from a description, in OpenAI's form, and parts of pictures redrawn."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from lavida.api import Model
from lavida.draw.options import MOST, DrawOptions, draw_options
from lavida.draw.request import Drawing, Easel
from lavida.serve.asked import Server
from lavida.serve.bounds import LETTERS
from lavida.serve.errors import FieldError
from lavida.serve.failures import ASKING
from lavida.serve.http import Json, unless_gone
from lavida.serve.protocol import Body

PIXELS = 4 * 1024 * 1024  # of all pictures of a request
STEPS = 256
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
    timeout: float | None = Field(default=None, gt=0, description="Seconds after which it is given up: 408.")

    def options(self) -> DrawOptions:
        """Return the options of drawing. Raises RequestError for a size or schedule that there is not."""
        names = ("size", "seed", "steps", "guidance", "temperature", "schedule", "cache", "refresh", "room")
        return draw_options({name: getattr(self, name) for name in names} | {"count": self.n})


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
    declared: dict[int | str, dict[str, Any]] = {200: {"model": DrawAnswer, "description": "The pictures."}, **ASKING}

    @routes.post("/v1/images/generations", response_model=None, responses=declared)
    async def draw_pictures(body: DrawBody, request: Request) -> Response:
        """Draw pictures from a description, with a model whose pictures are codes (MMaDA)."""
        return Json(await unless_gone(request, _draw(server, body)))

    return routes


async def _draw(server: Server, body: DrawBody) -> dict[str, Any]:
    options = body.options()
    if body.n * options.width * options.height > PIXELS:
        raise FieldError(f"{body.n} pictures of {body.size} are too many pixels; {PIXELS:,} are drawn", param="n")
    if (body.image is None) != (body.mask is None):
        raise FieldError("image and mask go together; give both or neither", param="mask")
    async with server.service.place(body.model) as place:
        Easel.of(place.held.model.reader)  # before pictures are decoded
        shown = [address for address in (body.image, body.mask) if address is not None]
        decoded = await server.decoder.decode_all(shown, any_shape=True, official=False)
        image, mask = decoded or (None, None)

        def work(model: Model) -> list[Drawing]:
            return model.draw_request(body.prompt, image=image, mask=mask, options=options).run()

        drawn = await server.service.call(place.held.name, work, deadline=body.timeout, place=place)
    data = [
        {"b64_json": await asyncio.to_thread(_encoded, one.image, _FORMATS[body.output_format]), "seed": one.seed}
        for one in drawn
    ]
    return {
        "created": int(time.time()),
        "model": place.held.name,
        "data": data,
        "output_format": body.output_format,
        "size": f"{options.width}x{options.height}",
        "steps": drawn[0].steps,
        "seconds": drawn[0].seconds,
    }


def _encoded(image: Image.Image, form: str) -> str:
    file = io.BytesIO()
    image.save(file, form)
    return base64.b64encode(file.getvalue()).decode()
