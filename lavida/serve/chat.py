"""POST /v1/chat/completions: as OpenAI's clients ask."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

import lavida
from lavida.serve.asked import Asked, Server, asking, merged
from lavida.serve.certain import CertainText
from lavida.serve.errors import FieldError
from lavida.serve.failures import ASKING, described
from lavida.serve.http import DONE, EVENT, KEEPALIVE, EventStream, Json, event, unless_gone
from lavida.serve.protocol import ChatRequest
from lavida.serve.reply import Reply, Usage
from lavida.serve.schemas import ChatCompletion
from lavida.serve.service import Queued, Written

FINGERPRINT = f"lavida-{lavida.__version__}"
EVENTS = {"text/event-stream": {"schema": EVENT}}


def router(server: Server) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["OpenAI"])

    @routes.post(
        "/v1/chat/completions",
        response_model=None,
        responses={200: {"model": ChatCompletion, "description": "The answer.", "content": EVENTS}, **ASKING},
    )
    async def answer_a_dialogue(body: ChatRequest, request: Request) -> Response:
        """Answer a dialogue about pictures.

        With `stream`, events hold chunks in OpenAI's form whose deltas are certain text: what later steps cannot
        change. With `draft` too, the key `lavida` of a chunk holds the whole canvas after a step.
        """
        _check(body)
        chat = Chat(server, body, request)
        if body.stream:
            chunks = chat.chunks()
            return EventStream(chunks, await unless_gone(request, anext(chunks)))
        return Json(await unless_gone(request, chat.whole()))

    return routes


class Chat:
    """Answer one request."""

    def __init__(self, server: Server, body: ChatRequest, request: Request) -> None:
        self._server, self._body, self._request = server, body, request
        self._count = body.n or 1
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time())}

    async def whole(self) -> dict[str, Any]:
        """Return the finished answer."""
        async with asking(self._server, self._body, self._count) as asked:
            head = {**self._head, "object": "chat.completion", "model": asked.model, "system_fingerprint": FINGERPRINT}
            if self._body.holes is not None:
                return {**head, **await self._filled(asked, self._body.holes)}
            self._check_log_probabilities(asked)
            replies = await asked.answers(self._seeds(asked))
            usage = self._used(replies)
            return {**head, "choices": [self._choice(i, reply) for i, reply in enumerate(replies)], "usage": usage}

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events. What is raised before the first is an answer of its own."""
        begun = False
        try:
            async with asking(self._server, self._body, self._count) as asked:
                replies: list[Reply] = []
                parts = [self._deltas(asked, i, seed, replies) for i, seed in enumerate(self._seeds(asked))]
                async with aclosing(merged(parts) if len(parts) > 1 else parts[0]) as deltas:
                    async for chunk in deltas:
                        yield chunk
                        begun = True
                usage = self._used(replies)
                if self._with_usage:
                    yield self._chunk(asked, [], usage=usage)
                yield DONE
        except Exception as error:
            if not begun:
                raise
            yield event(described(error, self._server.hide), "error")

    async def _deltas(
        self, asked: Asked, index: int, seed: int | None, replies: list[Reply]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of one answer."""
        certain: CertainText | None = None
        sent = 0
        async with aclosing(asked.stream(seed=seed)) as happenings:
            async for happening in happenings:
                if isinstance(happening, Queued):
                    yield KEEPALIVE if certain else self._delta(asked, index, {"role": "assistant", "content": ""})
                    certain = certain or CertainText(happening.request, asked.stop)
                    continue
                assert certain is not None, "the first happening is a place in the queue"
                text = happening.text if isinstance(happening, Reply) else certain.text(happening.draft.step)
                delta, sent = {"content": text[sent:]} if len(text) > sent else {}, max(sent, len(text))
                if isinstance(happening, Written):
                    seen = happening.draft
                    draft = {"step": seen.step.index, "pieces": seen.pieces} if self._body.draft else None
                    if delta or draft:
                        yield self._delta(asked, index, delta, draft=draft)
                    continue
                if delta:
                    yield self._delta(asked, index, delta)
                replies.append(happening)
                yield self._delta(asked, index, {}, finish=happening.finish)

    def _delta(
        self,
        asked: Asked,
        index: int,
        delta: dict[str, Any],
        *,
        finish: str | None = None,
        draft: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
        return self._chunk(asked, [choice], **({"lavida": draft} if draft else {}))

    def _chunk(self, asked: Asked, choices: list[dict[str, Any]], **more: Any) -> bytes:
        head = {**self._head, "object": "chat.completion.chunk", "model": asked.model}
        usage = {"usage": None} if self._with_usage else {}
        return event({**head, "system_fingerprint": FINGERPRINT, "choices": choices, **usage, **more})

    @property
    def _with_usage(self) -> bool:
        return self._body.stream_options is not None and bool(self._body.stream_options.include_usage)

    def _choice(self, index: int, reply: Reply) -> dict[str, Any]:
        tokens = {"content": reply.log_probabilities(), "refusal": None} if self._body.logprobs else None
        return _choice(index, reply.text, reply.finish, tokens, reply.more())

    async def _filled(self, asked: Asked, text: str) -> dict[str, Any]:
        found, usage = await asked.filled(text)
        self._request.state.tokens = usage.completion
        more = {"holes": [asdict(hole) for hole in found.holes], "seconds": round(usage.seconds, 4)}
        return {"choices": [_choice(0, found.text, "stop", None, more)], "usage": usage.to_json()}

    def _used(self, replies: Sequence[Reply]) -> dict[str, Any]:
        usage = Usage.joined([reply.usage for reply in replies])
        self._request.state.tokens = usage.completion
        return usage.to_json()

    def _seeds(self, asked: Asked) -> list[int | None]:
        """Return the seed of each answer. Raises FieldError where they would all be the same."""
        if self._count == 1:
            return [None]
        options = asked.decoding()
        if not options.temperature and not options.selection_temperature and options.remasking != "random":
            raise FieldError(
                f"at temperature 0 all {self._count} answers are the same; set a temperature or leave n out", param="n"
            )
        return [options.seed + i for i in range(self._count)]

    def _check_log_probabilities(self, asked: Asked) -> None:
        """Raise FieldError where the confidence of a token is not its probability."""
        if not self._body.logprobs:
            return
        measure = asked.decoding().remasking
        if measure != "confidence":
            raise FieldError(
                f"logprobs are those by which remasking confidence chooses, and this is {measure}", param="logprobs"
            )


def _check(body: ChatRequest) -> None:
    """Raise FieldError for fields that do not go together."""
    held = bool(body.form) or body.regex is not None or body.choices is not None
    wrong = {
        "stream_options": body.stream_options is not None and not body.stream and "belongs to a stream; set stream",
        "draft": bool(body.draft) and not body.stream and "belongs to a stream; set stream",
        "logprobs": bool(body.logprobs)
        and (
            (body.stream and "comes with the whole answer; leave stream out")
            or (held and "has no meaning where the form of the answer decides; leave one of them out")
        ),
        "holes": body.holes is not None
        and (body.stream or held or body.stop or body.logprobs or (body.n or 1) > 1)
        and "goes with none of stream, response_format, regex, choices, stop, logprobs and n",
    }
    for name, reason in wrong.items():
        if reason:
            raise FieldError(f"{name} {reason}", param=name)


def _choice(index: int, text: str, finish: str, tokens: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": tokens, "lavida": more}
