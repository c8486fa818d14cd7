"""Errors of the application as answers: ours, those of FastAPI's own checks, and faults of the server."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from lavida.decode.options import ELSEWHERE
from lavida.errors import LavidaError
from lavida.serve.errors import FieldError, ServeError, error_body, headers_of, status_of
from lavida.serve.http import ClientGoneError, Json
from lavida.serve.protocol import OPTION_NAMES, ChatRequest
from lavida.serve.schemas import ErrorAnswer

LOG = logging.getLogger("lavida.serve")
_MEANINGS = {
    400: "The request is wrong: `message` says what, `param` which field.",
    401: "The key is missing or wrong.",
    403: "A page of another site asks, or another host is named.",
    404: "There is no such model.",
    408: "The answer was not finished in time.",
    413: "The request is too large.",
    415: "The body is no JSON.",
    429: "The queue is full; `Retry-After` says when to come again.",
    503: "The server is about to stop.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}, "required": True}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the declaration of these statuses for a route."""
    return {
        status: {
            "model": ErrorAnswer,
            "description": _MEANINGS[status],
            **({"headers": _RETRY} if status in (429, 503) else {}),
        }
        for status in statuses
    }


ASKING = errors(*_MEANINGS)  # of a route that has a model answer


def answer_errors(app: FastAPI, hide: Callable[[str], str]) -> None:
    """Have an application answer its errors in OpenAI's form; `hide` takes paths out of messages."""

    @app.exception_handler(LavidaError)
    async def refused(request: Request, error: LavidaError) -> Response:
        return error_answer(error, hide)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        return error_answer(field_error(error.errors(), error.body))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return _from_http(error, request)

    @app.exception_handler(ClientGoneError)
    async def gone(request: Request, error: ClientGoneError) -> Response:
        return Response(status_code=499)  # nobody reads it; the log does


def error_answer(error: BaseException, hide: Callable[[str], str] = str) -> Response:
    """Return an error as an answer; a fault of the server goes to the log, without contents of requests."""
    return Json(described(error, hide), status_of(error), headers=headers_of(error))


def described(error: BaseException, hide: Callable[[str], str] = str) -> dict[str, Any]:
    """Return an error in OpenAI's form, with the option that its message begins with as the field."""
    body = error_body(error)
    body["error"]["message"] = hide(body["error"]["message"])
    if not isinstance(error, LavidaError):
        LOG.error("a request failed: %s", _where(error))
    elif body["error"]["param"] is None:
        first = body["error"]["message"].split(" ")[0]
        body["error"]["param"] = first if first in OPTION_NAMES else None
    return body


def field_error(found: Sequence[Mapping[str, Any]], body: Any) -> FieldError:
    """Return the error of the innermost of several fields that pydantic found wrong."""
    worst = max(found, key=lambda one: len(one["loc"]))
    context = worst.get("ctx", {})
    if worst["type"] == "json_invalid":
        return FieldError("the body is not JSON; mend it", code="json_invalid")
    if worst["type"] == "unsupported":
        name = str(context["param"])
        return FieldError(f"{name} is not supported here; leave it out", param=name, code="unsupported_parameter")
    param = path_of(worst["loc"][1:], body)
    if not param:
        return FieldError("the body must be a JSON object, sent as application/json")
    if worst["type"] == "extra_forbidden":
        return FieldError(f"unknown field {param[:80]!r}; {_mend(param)}", param=param[:200], code="unknown_parameter")
    said = str(worst["msg"])
    return FieldError(f"{param}: {said[:1].lower()}{said[1:]}", param=param)


def path_of(loc: Sequence[int | str], body: Any) -> str:
    """Return a place in a body as `messages[0].content`; names of branches that pydantic tried are left out."""
    for end in range(len(loc), 0, -1):
        found = _walk(loc[:end], body)
        if found is not None:
            return found.removeprefix(".")
    return ""


def _walk(loc: Sequence[int | str], here: Any) -> str | None:
    """Return the path to the last of `loc`, some of the others left out; None if none leads there."""
    key, rest = loc[0], loc[1:]
    step: tuple[str, Any] | None = None
    if isinstance(key, int) and isinstance(here, list) and key < len(here):
        step = f"[{key}]", here[key]
    elif isinstance(key, str) and isinstance(here, dict) and (key in here or not rest):
        step = f".{key}", here.get(key)
    if not rest:
        return step and step[0]
    further = step and _walk(rest, step[1])
    return f"{step[0]}{further}" if step and further is not None else _walk(rest, here)


def _mend(param: str) -> str:
    name = param.rsplit(".", 1)[-1]
    known = [*OPTION_NAMES, *ChatRequest.model_fields]
    close = [ELSEWHERE[name]] if name in ELSEWHERE else difflib.get_close_matches(name, known, n=1)
    close = [one for one in close if one in known]
    return f"did you mean {close[0]}?" if close and "." not in param else "leave it out"


def _from_http(error: HTTPException, request: Request) -> Response:
    """Return an answer to an unknown route, a wrong method, or a body that cannot be read at all."""
    kind = ServeError("there is no such route; GET /openapi.json lists them", code="unknown_route")
    if error.status_code == 405:
        kind = ServeError(f"this route takes no {request.method}; see GET /openapi.json", code="wrong_method")
    elif error.status_code != 404:
        kind = ServeError("the body cannot be read; send JSON in UTF-8", code="json_invalid")
    kind.status = error.status_code
    return Json(error_body(kind), error.status_code, headers=dict(error.headers or {}))


def _where(error: BaseException) -> str:
    """Return the kind of an error and where it was raised: a message might hold words of a request."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} in {' < '.join(frames[:-7:-1])}"
