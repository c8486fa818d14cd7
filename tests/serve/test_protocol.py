"""Requests as they are declared: every option, nothing else, and errors that name the place."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from pydantic import ValidationError

from lavida.decode.options import BUDGET, DecodeOptions
from lavida.serve.errors import FieldError
from lavida.serve.failures import field_error, path_of
from lavida.serve.protocol import FLAT_OBJECT, OPTION_NAMES, ChatRequest, DenoiseRequest
from lavida.serve.responses import ResponsesRequest

MESSAGES = [{"role": "user", "content": "What?"}]
VALUES: dict[str, Any] = {
    "counts": [1, 2], "banned": [5], "stops": [[5, 6]], "schedule": "even", "remasking": "margin", "cache": "none",
    "compat": "official", "quality": "fast", "deadline": "400ms", "regex": "a+", "choices": ["a", "b"],
    "early_stop": False, "sharp_confidence": True, "annealed": True, "span": [1, 4],
}  # fmt: skip


def chat(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": MESSAGES, **more})


def refusal(**more: Any) -> FieldError:
    body = {"messages": MESSAGES, **more}
    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate(body)
    # FastAPI puts "body" before each place.
    found = [{**one, "loc": ("body", *one["loc"])} for one in caught.value.errors()]
    return field_error(found, body)


@pytest.mark.parametrize("model", [ChatRequest, DenoiseRequest, ResponsesRequest])
def test_every_option_of_decoding_may_be_given(model: Any) -> None:
    declared = {one.name for one in fields(DecodeOptions)} - {"language"}
    assert declared | set(BUDGET) | {"regex", "choices"} == set(OPTION_NAMES) <= set(model.model_fields)


@pytest.mark.parametrize("name", OPTION_NAMES)
def test_an_option_comes_through(name: str) -> None:
    value = VALUES.get(name, 1)
    assert chat(**{name: value}).options() == ({} if name == "top_p" else {name: value})
    assert chat(**{name: None}).options() == {}


def test_lengths_and_forms_become_options() -> None:
    schema = {"type": "object"}
    named = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}
    assert chat(max_tokens=5).options() == {"length": 5} == chat(max_completion_tokens=5, length=5).options()
    assert chat(response_format=named).options() == {"schema": schema}
    assert chat(response_format={"type": "json_object"}).options() == {"regex": FLAT_OBJECT}
    assert chat(response_format={"type": "text"}, top_p=1.0).options() == {}
    assert chat(top_p=0.5).options() == {"top_p": 0.5}
    assert chat(stop="x").stops_at == ("x",) and chat(stop=["x", "y"]).stops_at == ("x", "y")
    for wrong in ({"max_tokens": 5, "length": 6}, {"response_format": named, "regex": "a"}):
        with pytest.raises(FieldError):
            chat(**wrong).options()
    for wrong in ({"stop": ""}, {"stop": "a", "regex": "a"}, {"stop": "a", "response_format": named}):
        with pytest.raises(FieldError) as caught:
            _ = chat(**wrong).stops_at
        assert caught.value.param == "stop"


@pytest.mark.parametrize(
    ("field", "value"),
    [("tools", [{}]), ("store", True), ("presence_penalty", 0.1), ("audio", {}), ("metadata", {"a": 1})],
)
def test_what_is_not_to_be_had_is_named(field: str, value: Any) -> None:
    found = refusal(**{field: value})
    assert (found.param, found.code) == (field, "unsupported_parameter") and field in str(found)


@pytest.mark.parametrize(
    ("field", "value"),
    [("tools", []), ("tools", None), ("store", False), ("presence_penalty", 0), ("logit_bias", {}), ("metadata", {})],
)
def test_what_asks_for_nothing_is_taken(field: str, value: Any) -> None:
    assert chat(**{field: value}).options() == {}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"length": True}, "length"),
        ({"length": "5"}, "length"),
        ({"length": 5.0}, "length"),
        ({"length": 0}, "length"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"early_stop": 1}, "early_stop"),
        ({"stops": [["a"]]}, "stops[0][0]"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
         "response_format.json_schema.schema"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}]},
         "messages[0].content[0].b"),
        ({"messages": [{"role": "user", "content": "a", "image": "b"}]}, "messages[0].image"),
        ({"messages": 3}, "messages"),
        ({"stream_options": {"include": True}}, "stream_options.include"),
    ],
)  # fmt: skip
def test_the_place_of_a_mistake_is_named(wrong: dict[str, Any], param: str) -> None:
    found = refusal(**wrong)
    assert found.param == param and param in str(found)


def test_what_is_no_object_has_no_place() -> None:
    assert path_of(("messages", 0, "content"), None) == ""
    assert field_error([{"loc": ("body",), "type": "model_attributes_type", "msg": "x"}], [1]).param is None
    assert "not JSON" in str(field_error([{"loc": ("body", 3), "type": "json_invalid", "msg": "x"}], ""))


def test_a_message_of_an_answer_may_be_sent_back() -> None:
    reply = {"role": "assistant", "content": "A cat.", "refusal": None, "annotations": [], "tool_calls": None}
    found = ChatRequest.model_validate({"messages": [*MESSAGES, reply, *MESSAGES]})
    assert found.messages[1].content == "A cat."


def test_an_input_of_responses_becomes_a_question() -> None:
    body = ResponsesRequest.model_validate(
        {
            "instructions": "Be brief.",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "What?"}]}],
            "max_output_tokens": 9,
            "steps": 4,
            "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
        }
    )
    question = body.question()
    assert [message.role for message in question.messages] == ["system", "user"]
    assert question.options() == {"steps": 4, "length": 9, "schema": {"type": "object"}}
    for wrong in (
        {"stream": True},
        {"previous_response_id": "a"},
        {"store": True},
        {"input": []},
        {"messages": MESSAGES},
    ):
        with pytest.raises(ValidationError):
            ResponsesRequest.model_validate({"input": "What?", **wrong})
    assert ResponsesRequest.model_validate({"input": "What?", "store": False, "tools": []}).question().options() == {}
