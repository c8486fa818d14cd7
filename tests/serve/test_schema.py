"""The OpenAPI document against a real server: schemathesis asks what it allows and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.serve.servers import Server, serving

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    unsupported_method,
]
TIMEOUT = 20.0  # seconds until a request hangs
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]
PHASES = [Phase.explicit, Phase.generate]


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[Server]:
    with serving("--model", str(tiny_folder), "--timeout", "1") as running:  # a long canvas takes longer
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(server.url + "openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("examples", [12, pytest.param(1000, marks=pytest.mark.slow)])
def test_answers_are_as_the_document_says(api: schemathesis.BaseSchema, mode: GenerationMode, examples: int) -> None:
    for found in api.get_all_operations():
        operation = found.ok()
        if not operation.body and (mode is GenerationMode.NEGATIVE or not operation.path_parameters):
            continue  # nothing to vary

        @settings(max_examples=examples, deadline=None, suppress_health_check=QUIET, phases=PHASES, derandomize=True)
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Case) -> None:
            case.call_and_validate(checks=CHECKS, timeout=TIMEOUT)

        check()


def test_the_examples_of_the_document_are_answered(api: schemathesis.BaseSchema, server: Server) -> None:
    parts = httpx.get(server.url + "openapi.json").json()["components"]["schemas"]
    for path, name in (
        ("/v1/chat/completions", "ChatRequest"),
        ("/v1/denoise", "DenoiseRequest"),
        ("/v1/responses", "ResponsesRequest"),
    ):
        for example in parts[name]["examples"]:
            body = {**example, "model": "tiny0"} if "model" in example else example
            case = api[path]["POST"].Case(body=body, media_type="application/json")
            response = case.call_and_validate(checks=CHECKS, timeout=TIMEOUT)
            assert response.status_code == 200, response.content


def test_every_route_tells_what_can_go_wrong(server: Server) -> None:
    document = httpx.get(server.url + "openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            statuses = set(operation["responses"])
            assert "200" in statuses and "422" not in statuses, (method, path)
            if method == "post":
                assert statuses >= {"400", "401", "404", "408", "413", "415", "429", "503"}, (method, path)
            assert operation["summary"] and operation["description"], (method, path)
