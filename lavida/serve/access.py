"""The log: a line for each request with its route, status, seconds and tokens, and nothing of its contents."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lavida.serve.failures import error_answer

LOG = logging.getLogger("lavida.serve.access")


class AccessLog:
    """Write the line when an answer has ended; none for a route that sets `request.state.quiet`.

    Faults of the server end here, as an answer and a line that tells where: a traceback might hold words of a request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        state = scope.setdefault("state", {})
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            answer = error_answer(error)
            if not status:  # nothing was sent yet
                await answer(scope, receive, watched)
        finally:
            if not state.get("quiet"):
                # The path as it is declared: what a stranger writes there is no business of a log.
                route = getattr(scope.get("route"), "path", "(unknown)")
                tokens = f" {state['tokens']} tokens" if "tokens" in state else ""
                LOG.info(
                    "%s %s %d %.3f s%s", scope["method"], route, status or 499, time.perf_counter() - start, tokens
                )
