"""Errors of the API: each becomes one JSON object in the form that OpenAI's clients read."""

from __future__ import annotations

from typing import Any

from lavida.errors import LavidaError


class ServeError(LavidaError):
    """Report why a request is refused: a status, a kind, and the field that is meant."""

    status = 400
    kind = "invalid_request_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code or self.code

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that go with the status."""
        return {}


class FieldError(ServeError):
    """Report a field of a request that is unknown, wrong or not to be had here."""


class KeyRefusedError(ServeError):
    """Report that a key is missing or wrong."""

    status, kind, code = 401, "authentication_error", "invalid_api_key"

    @property
    def headers(self) -> dict[str, str]:
        """Name the scheme, as a 401 must."""
        return {"WWW-Authenticate": "Bearer"}


class UnknownModelError(ServeError):
    """Report a model that this server does not hold."""

    status, code = 404, "model_not_found"


class ForbiddenError(ServeError):
    """Report a request that a page of another site made, or that names another host."""

    status, kind, code = 403, "permission_error", "forbidden"


class MediaTypeError(ServeError):
    """Report a body that is no JSON, by its own account."""

    status, code = 415, "unsupported_media_type"


class TooLargeError(ServeError):
    """Report a body that is larger than this server reads."""

    status, code = 413, "request_too_large"


class DeadlineError(ServeError):
    """Report that the time allowed for an answer has passed."""

    status, kind, code = 408, "timeout_error", "timeout"

    @property
    def headers(self) -> dict[str, str]:
        """Tell OpenAI's clients not to send the same again by themselves."""
        return {"x-should-retry": "false"}


class BusyError(ServeError):
    """Report that the queue is full; `after` estimates the seconds until it is not."""

    status, kind, code = 429, "rate_limit_error", "queue_full"

    def __init__(self, message: str, *, after: int) -> None:
        super().__init__(message)
        self.after = after

    @property
    def headers(self) -> dict[str, str]:
        """Say when to come again."""
        return {"Retry-After": str(self.after)}


class ClosingError(ServeError):
    """Report that the server is about to stop and takes nothing new."""

    status, kind, code = 503, "server_error", "shutting_down"

    @property
    def headers(self) -> dict[str, str]:
        """Say when another server may stand here."""
        return {"Retry-After": "10"}


def error_body(error: BaseException) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it; of a fault of the server nothing but that it is one."""
    if isinstance(error, ServeError):
        found = {"message": one_line(error), "type": error.kind, "param": error.param, "code": error.code}
    elif isinstance(error, LavidaError):
        found = {"message": one_line(error), "type": "invalid_request_error", "param": None, "code": None}
    else:
        found = {"message": "the server failed; its log tells why", "type": "server_error", "param": None, "code": None}
    return {"error": found}


def status_of(error: BaseException) -> int:
    """Return the HTTP status of an error."""
    return error.status if isinstance(error, ServeError) else 400 if isinstance(error, LavidaError) else 500


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the HTTP headers of an error."""
    return error.headers if isinstance(error, ServeError) else {}


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line."""
    return " ".join(str(error).split())
