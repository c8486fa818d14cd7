"""Infill, audit and extract over HTTP: what the library gives, bounded, and refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from lavida.api import Model
from lavida.edit.audit import facts_of
from lavida.edit.infill import DECODE
from lavida.serve.edit import ExtractRequest, InfillRequest
from tests.fakes import tiny_config
from tests.fakes import tiny_model as tiny_net
from tests.pictures import gradient
from tests.serve.hostile import address, encoded
from tests.serve.live import Live, error_of, live
from tests.tiny import tiny_model, tiny_tokenizer

PICTURE = encoded(gradient())
SHOWN = address(PICTURE)
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "dog"]}, "many": {"type": "boolean"}},
    "required": ["kind", "many"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live() as running:
        yield running


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def without(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    assert answer["model"] == "tiny" and all(name in answer for name in names)
    return {key: value for key, value in answer.items() if key not in ("model", *names)}


@pytest.mark.parametrize("options", [{}, {"alternatives": 0, "most": 2, "length": 20, "temperature": 0.7, "seed": 3}])
def test_an_infill_is_that_of_the_library(server: Live, model: Model, options: dict[str, Any]) -> None:
    text = "a [M:1] on [M:1-2]"
    answer = server.post("/v1/infill", {"image": SHOWN, "text": text, "question": "What is this?", **options})
    wanted = asdict(model.infill(PICTURE, text, question="What is this?", **options))
    found = without(answer.json(), "seconds")
    assert answer.status_code == 200 and found["text"] == wanted["text"] and found["tried"] == wanted["tried"]
    assert [hole["text"] for hole in found["holes"]] == [hole["text"] for hole in wanted["holes"]]
    assert [hole["probability"] for hole in found["holes"]] == pytest.approx(
        [h["probability"] for h in wanted["holes"]]
    )
    assert [len(hole["alternatives"]) for hole in found["holes"]] == [len(h["alternatives"]) for h in wanted["holes"]]


def test_several_pictures_or_none_may_be_shown(server: Live, model: Model) -> None:
    other = encoded(gradient(40, 40).rotate(90))
    answer = server.post("/v1/infill", {"images": [SHOWN, address(other)], "text": "a [M:1]", "alternatives": 0})
    wanted = model.infill([PICTURE, other], "a [M:1]", alternatives=0)
    assert answer.json()["text"] == wanted.text
    answer = server.post("/v1/infill", {"text": "a [M:1]", "question": "Say it.", "alternatives": 0})
    assert answer.json()["text"] == model.infill(None, "a [M:1]", question="Say it.", alternatives=0).text


def test_an_audit_is_that_of_the_library(server: Live, model: Model) -> None:
    text = "a cat, and a  dog."
    answer = server.post("/v1/audit", {"image": SHOWN, "text": text}).json()
    wanted = facts_of(model.audit(PICTURE, text))
    found = without(answer, "seconds")
    assert [word["text"] for word in found["words"]] == [word["text"] for word in wanted["words"]]
    for word, other in zip(found["words"], wanted["words"], strict=True):
        assert word["support"] == pytest.approx(other["support"], abs=1e-5)
        assert found["text"][word["start"] : word["end"]] == word["text"], "a word stands where it is said to"
        assert set(word) == {
            "text", "log_likelihood", "without_picture", "support", "start", "end", "tokens",
        }  # fmt: skip


def test_an_extraction_is_that_of_the_library(server: Live, model: Model) -> None:
    answer = server.post("/v1/extract", {"image": SHOWN, "schema": SCHEMA, "steps": 8}).json()
    wanted = model.extract(PICTURE, SCHEMA, steps=8)
    found = without(answer, "seconds", "usage")
    assert found["object"] == wanted.value and found["text"] == wanted.text and found["steps"] == wanted.steps
    assert found["confidence"] == pytest.approx(wanted.confidence)
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] > 0


def test_the_options_are_those_of_the_library() -> None:
    assert set(DECODE) <= set(InfillRequest.model_fields)
    assert {"length", "steps", "threshold", "banned", "quality", "deadline"} <= set(ExtractRequest.model_fields)
    assert not {"regex", "choices"} & set(ExtractRequest.model_fields)


WRONG: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no hole": ("infill", {"text": "a cat"}, 400, "the text has no hole"),
    "bad hole": ("infill", {"text": "a [M:x]"}, 400, "cannot read the hole"),
    "hole of nothing": ("infill", {"text": "a [M:0]"}, 400, "room for nothing"),
    "many holes": ("infill", {"text": "[M:1] " * 9}, 400, "9 holes of up to 9 tokens"),
    "large holes": ("infill", {"text": "a [M:65]"}, 400, "1 holes of up to 65 tokens"),
    "largest hole": ("infill", {"text": "a [M:1-9999]"}, 400, "up to 9999 tokens"),
    "most and many": ("infill", {"text": "[M] [M]", "most": 33}, 400, "up to 66 tokens"),
    "long text": ("infill", {"text": "a [M:1] " + "zq" * 300}, 400, "tokens, and 256 are read"),
    "longer text": ("infill", {"text": "a [M:1] " + "z" * 9000}, 400, "8000"),
    "long canvas": ("infill", {"text": "a [M:1]", "length": 300}, 400, "256"),
    "unknown field": ("infill", {"text": "a [M:1]", "stpes": 3}, 400, "unknown field 'stpes'"),
    "not for holes": ("infill", {"text": "a [M:1]", "guidance": 1.0}, 400, "unknown field 'guidance'"),
    "bad option": ("infill", {"text": "a [M:1]", "temperature": -1}, 400, "temperature"),
    "text for a number": ("infill", {"text": "a [M:1]", "most": "3"}, 400, "most"),
    "other how": ("infill", {"text": "a [M:1]", "how": "luck"}, 400, "how"),
    "one and several": ("infill", {"text": "a [M:1]", "image": SHOWN, "images": [SHOWN]}, 400, "give one"),
    "other model": ("infill", {"text": "a [M:1]", "model": "other"}, 404, "no model 'other'"),
    "no text": ("audit", {"image": SHOWN}, 400, "text"),
    "empty text": ("audit", {"image": SHOWN, "text": "  "}, 400, "the text is empty"),
    "long audit": ("audit", {"image": SHOWN, "text": "zq" * 400}, 400, "tokens, and 256 are read"),
    "no picture": ("audit", {"text": "a cat"}, 400, "image"),
    "several to audit": ("audit", {"images": [SHOWN, SHOWN], "text": "a cat"}, 400, "image"),
    "empty question": ("audit", {"image": SHOWN, "text": "a cat", "question": " "}, 400, "question is empty"),
    "no schema": ("extract", {"image": SHOWN}, 400, "schema"),
    "schema in a file": ("extract", {"image": SHOWN, "schema": "/etc/passwd"}, 400, "schema"),
    "schema that is none": ("extract", {"image": SHOWN, "schema": {"type": "rainbow"}}, 400, "rainbow"),
    "impossible schema": ("extract", {"image": SHOWN, "schema": False}, 400, "schema"),
    "no room": ("extract", {"image": SHOWN, "schema": SCHEMA, "length": 2}, 400, "length"),
    "two forms": ("extract", {"image": SHOWN, "schema": SCHEMA, "regex": "a"}, 400, "unknown field 'regex'"),
    "late": ("infill", {"image": SHOWN, "text": "a [M:1-8] and [M:1-8]", "timeout": 0.05}, 408, "not finished in time"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_done_is_told_in_one_line(server: Live, name: str) -> None:
    route, body, status, words = WRONG[name]
    answer = server.post(f"/v1/{route}", body)
    assert answer.status_code == status and words in error_of(answer)["message"], answer.text[:500]
    assert server.service.places == 0


def test_models_that_cannot_say_so(model: Model) -> None:
    words_only = Model(tiny_net(tiny_config(vision=None, vocab_size=400, mask_id=1, eos_ids=(0,))), tiny_tokenizer())
    with live(words_only) as server:
        answer = server.post("/v1/audit", {"image": SHOWN, "text": "a cat"})
        assert answer.status_code == 400 and "reads text only" in error_of(answer)["message"]


def test_every_route_is_in_the_document_with_an_example(server: Live) -> None:
    document = server.get("/openapi.json").json()
    for route, name in (("infill", "InfillRequest"), ("audit", "AuditRequest"), ("extract", "ExtractRequest")):
        operation = document["paths"][f"/v1/{route}"]["post"]
        assert {"200", "400", "401", "404", "408", "413", "415", "429"} <= set(operation["responses"])
        for example in document["components"]["schemas"][name]["examples"]:
            answer = server.post(f"/v1/{route}", example)
            assert answer.status_code == 200, answer.text
