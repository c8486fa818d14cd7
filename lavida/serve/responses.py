"""POST /v1/responses: what `client.responses.create` and `.parse` of OpenAI's client send, for one whole answer."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from lavida.decode.options import MAX_LENGTH
from lavida.serve.asked import Server, asking
from lavida.serve.failures import ASKING
from lavida.serve.http import Json, unless_gone
from lavida.serve.protocol import (
    PIXEL,
    Ask,
    Body,
    ImageAddress,
    ImagePart,
    Message,
    NamedSchema,
    ObjectFormat,
    Part,
    Question,
    SchemaFormat,
    TextFormat,
    TextPart,
)
from lavida.serve.reply import Reply
from lavida.serve.schemas import ResponseAnswer


class InputText(Body):
    """Hold words; `output_text` are those of an earlier answer."""

    type: Literal["input_text", "output_text"]
    text: str
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    logprobs: Annotated[list[Any], Field(max_length=0)] | None = None


class InputImage(Body):
    """Hold a picture."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class InputMessage(Body):
    """Hold one message."""

    type: Literal["message"] | None = None
    id: str | None = None
    status: Literal["completed", "incomplete"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Annotated[InputText | InputImage, Field(discriminator="type")]], Field(min_length=1)]


class NamedFormat(NamedSchema):
    """Ask for JSON that fits a schema."""

    type: Literal["json_schema"]


class TextOptions(Body):
    """Say what form the text has."""

    format: Annotated[TextFormat | ObjectFormat | NamedFormat, Field(discriminator="type")] | None = None


class ResponsesRequest(Ask):
    """Ask for one whole answer; nothing is kept on the server."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "input": [
                        {
                            "role": "user",
                            "content": [
                                {"type": "input_image", "image_url": PIXEL},
                                {"type": "input_text", "text": "What colour is it?"},
                            ],
                        }
                    ]
                }
            ]
        }
    )

    model: str | None = None
    input: str | Annotated[list[InputMessage], Field(min_length=1, max_length=4096)]
    instructions: str | None = Field(default=None, description="A system message before the input.")
    max_output_tokens: int | None = Field(default=None, ge=1, le=MAX_LENGTH)
    text: TextOptions | None = None
    stream: Literal[False] | None = Field(default=None, description="POST /v1/chat/completions streams.")

    def question(self) -> Question:
        """Return the same as a question of chat completions."""
        messages = [] if self.instructions is None else [Message(role="system", content=self.instructions)]
        if isinstance(self.input, str):
            messages.append(Message(role="user", content=self.input))
        else:
            messages += [Message(role=one.role, content=_parts(one.content)) for one in self.input]
        return Question(
            **self.given(),
            model=self.model,
            messages=messages,
            timeout=self.timeout,
            max_tokens=self.max_output_tokens,
            response_format=_format(self.text),
        )


def router(server: Server) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["OpenAI"])

    @routes.post(
        "/v1/responses",
        response_model=None,
        responses={200: {"model": ResponseAnswer, "description": "The answer."}, **ASKING},
    )
    async def answer_an_input(body: ResponsesRequest, request: Request) -> Response:
        """Answer an input of texts and pictures: a small part of OpenAI's Responses, whole answers only."""
        return Json(await unless_gone(request, _answer(server, body, request)))

    return routes


async def _answer(server: Server, body: ResponsesRequest, request: Request) -> dict[str, Any]:
    async with asking(server, body.question()) as asked:
        (reply,) = await asked.answers([None])
        request.state.tokens = reply.usage.completion
        return _described(reply, asked.model, body)


def _described(reply: Reply, model: str, body: ResponsesRequest) -> dict[str, Any]:
    whole = reply.finish == "stop"
    status = "completed" if whole else "incomplete"
    message = {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [{"type": "output_text", "text": reply.text, "annotations": []}],
    }
    usage = reply.usage
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": None if whole else {"reason": "max_output_tokens"},
        "instructions": body.instructions,
        "model": model,
        "output": [message],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "store": False,
        "usage": {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt + usage.completion,
            "lavida": {"image_tokens": usage.image, **usage.to_json()["lavida"]},
        },
        "lavida": reply.more(),
    }


def _parts(content: str | list[InputText | InputImage]) -> str | list[Part]:
    if isinstance(content, str):
        return content
    return [
        TextPart(type="text", text=part.text)
        if isinstance(part, InputText)
        else ImagePart(type="image_url", image_url=ImageAddress(url=part.image_url, detail=part.detail))
        for part in content
    ]


def _format(text: TextOptions | None) -> TextFormat | ObjectFormat | SchemaFormat | None:
    asked = None if text is None else text.format
    if not isinstance(asked, NamedFormat):
        return asked
    named = NamedSchema(name=asked.name, description=asked.description, schema=asked.schema_, strict=asked.strict)
    return SchemaFormat(type="json_schema", json_schema=named)
