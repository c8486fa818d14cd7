"""Figures for Prometheus, in a registry of their own: two applications in one process do not share them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lavida.serve.failures import errors
from lavida.serve.pictures import PictureDecoder
from lavida.serve.reply import Reply
from lavida.serve.service import Service

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_PER_FORWARD = (0.5, 1, 1.5, 2, 3, 4, 6, 8, 16, 32)
OTHER = "other"  # the route of a request that fits none: paths of strangers must not become labels


class Metrics:
    """Count what the server does; `render` writes it for Prometheus."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "lavida_requests", "Requests by route and status.", ["route", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "lavida_request_seconds", "Seconds from the head of a request to the end of its answer.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._waiting = Histogram(
            "lavida_waiting_seconds", "Seconds that an answer waited for its place.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._answering = Histogram(
            "lavida_answering_seconds", "Seconds from an answer's place to its text.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._per_forward = Histogram(
            "lavida_tokens_per_forward", "Tokens of an answer by forward pass.", buckets=_PER_FORWARD,
            registry=registry,
        )  # fmt: skip
        registry.register(_Process())

    def watch_service(self, service: Service) -> None:
        """Show the queue and the totals of a service, and count its answers."""
        self.registry.register(_Answers(service))
        service.finished.append(self._finished)

    def watch_pictures(self, decoder: PictureDecoder) -> None:
        """Show how many pictures were decoded and refused."""
        self.registry.register(_Pictures(decoder))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Return all figures as text."""
        return generate_latest(self.registry)

    def router(self) -> APIRouter:
        """Return the route that shows them."""
        routes = APIRouter()

        @routes.get("/metrics", response_class=PlainTextResponse, tags=["Operation"], responses=errors(401, 403))
        async def metrics(request: Request) -> Response:
            """Tell figures in the form of Prometheus."""
            request.state.quiet = True
            return Response(self.render(), media_type=CONTENT_TYPE_LATEST)

        return routes

    def _finished(self, reply: Reply, waited: float) -> None:
        usage = reply.usage
        self._waiting.observe(waited)
        self._answering.observe(max(0.0, usage.seconds - waited))
        self._per_forward.observe(usage.completion / max(1, usage.steps or 0))


class CountRequests:
    """Count every request by its route and status, those included that are refused before a route is found."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), [499]  # the client went before it was answered

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            status[0] = 500
            raise
        finally:
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "OPTIONS") else OTHER
            self._metrics.request(_route(scope), method, status[0], time.perf_counter() - begin)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", OTHER)


class _Answers(Collector):
    """Read the queue and the totals of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield what is on its way, and what was done, by model."""
        gauges = {
            "lavida_active_answers": ("Answers that are being written.", lambda held: held.engine.active),
            "lavida_waiting_answers": ("Answers that wait for a place.", lambda held: held.engine.waiting),
            "lavida_places": ("Places of the queue in use, pictures being decoded included.", lambda held: held.places),
        }
        for name, (help, value) in gauges.items():
            gauge = GaugeMetricFamily(name, help, labels=["model"])
            for model, held in self._service.held.items():
                gauge.add_metric([model], value(held))
            yield gauge
        answers = CounterMetricFamily("lavida_answers", "Answers by what became of them.", labels=["model", "outcome"])
        tokens = CounterMetricFamily("lavida_tokens", "Tokens of finished answers.", labels=["model", "kind"])
        forwards = CounterMetricFamily("lavida_forwards", "Forward passes over the canvases.", labels=["model"])
        for model, held in self._service.held.items():
            totals = held.totals
            for outcome in ("refused", "late", "gone", "failed", "calls"):
                answers.add_metric([model, outcome], getattr(totals, outcome))
            answers.add_metric([model, "finished"], totals.answers)
            for kind, count in (
                ("prompt", totals.prompt_tokens),
                ("image", totals.image_tokens),
                ("cached", totals.cached_tokens),
                ("completion", totals.tokens),
            ):
                tokens.add_metric([model, kind], count)
            forwards.add_metric([model], totals.steps)
        yield from (answers, tokens, forwards)


class _Pictures(Collector):
    """Read a decoder's counts."""

    def __init__(self, decoder: PictureDecoder) -> None:
        self._decoder = decoder

    def collect(self) -> Iterator[Metric]:
        """Yield the counts of pictures by what became of them."""
        found = CounterMetricFamily("lavida_pictures", "Pictures by what became of them.", labels=["outcome"])
        found.add_metric(["decoded"], self._decoder.decoded)
        found.add_metric(["refused"], self._decoder.refused)
        yield found


class _Process(Collector):
    """Tell the memory of this process, where the system does (Linux)."""

    def collect(self) -> Iterator[Metric]:
        """Yield the resident memory."""
        memory = resident_bytes()
        if memory is not None:
            yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory size in bytes.", value=memory)


def resident_bytes(process: int | str = "self") -> int | None:
    """Return the resident memory of a process; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)
