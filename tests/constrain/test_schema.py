from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lavida.constrain.dfa import compile_term
from lavida.constrain.language import language_of, schema_language
from lavida.errors import RequestError

POINT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["y"]}
KEPT: list[tuple[Any, list[Any], list[Any]]] = [  # a schema, values that can be written, values that cannot
    ({"type": "string", "maxLength": 3}, ["", 'a"é'], ["abcd", 1]),
    ({"type": "string", "pattern": "^a+$", "minLength": 2}, ["aa"], ["a", "b"]),
    ({"type": "string", "pattern": "b"}, ["abc"], ["ac"]),
    ({"type": "string", "format": "date"}, ["2024-02-28"], [20240228]),
    ({"type": ["integer", "null"], "minimum": 3}, [3, None], [2, "3"]),
    ({"type": "integer", "exclusiveMinimum": 3, "minimum": 3, "multipleOf": 2}, [4], [3, 5]),
    ({"type": "number", "minimum": -0.5, "maximum": 1.5}, [0.25, -0.5, 1], [-0.51, 2]),
    ({"type": "boolean"}, [True, False], [None]),
    ({"enum": ["red", None, 3, {"a": [1]}]}, ["red", None, 3, {"a": [1]}], ["blue"]),
    ({"enum": ["red", 3, 11], "type": "integer", "maximum": 9}, [3], ["red", 11]),
    ({"const": "é"}, ["é"], ["e"]),
    (POINT, [{"y": 1}, {"x": 2, "y": 1}], [{"x": 2}, {"y": "1"}]),
    (
        {"type": "object", "properties": {k: {"type": "null"} for k in "abc"}},
        [{}, {"b": None}, {"a": None, "c": None}],
        [],
    ),
    ({"type": "object", "additionalProperties": False}, [{}], []),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, [[True], [True, False]], [[]]),
    ({"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "maxItems": 1}, [[], [None]], []),
    ({"type": "array", "maxItems": 0}, [[]], [[1]]),
    (
        {"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2},
        [[1, 2], [1, 2, 2]],
        [[1]],
    ),
    ({"anyOf": [{"type": "string", "maxLength": 1}, {"type": "integer"}]}, ["a", 5], ["ab", 1.5]),
    ({"anyOf": [{"minimum": 5}, {"maximum": 1}], "type": "integer"}, [5, 0], [3]),
    ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, ["", 1], [None]),
    (
        {"oneOf": [{"type": "object", "properties": {"k": {"const": k}}, "required": ["k"]} for k in "ab"]},
        [{"k": "a"}, {"k": "b"}],
        [{"k": "c"}],
    ),
    ({"allOf": [{"type": "integer"}, {"minimum": 2}], "maximum": 3}, [2, 3], [1, 4]),
    ({"$defs": {"p": POINT}, "type": "array", "items": {"$ref": "#/$defs/p"}}, [[], [{"y": 1}, {"y": 2}]], [[{}]]),
    ({"allOf": [{"minimum": 1}, {"minimum": 2}], "type": "integer"}, [2], [1]),
    ({"allOf": [POINT, {"properties": {"y": True}, "additionalProperties": False}]}, [{"y": 1}], [{"x": 2, "y": 1}]),
    ({"minLength": 2}, ["ab"], ["a"]),
    ({"type": "string", "format": "hostname"}, ["a"], []),
    ({"type": "number", "multipleOf": 5}, [10], [7]),
    ({"$defs": {"a/b": {"type": "null"}}, "$ref": "#/$defs/a~1b"}, [None], []),
]


@pytest.mark.parametrize(("schema", "inside", "outside"), KEPT)
def test_what_is_written_is_valid(schema: Any, inside: list[Any], outside: list[Any]) -> None:
    language, valid = schema_language(schema), jsonschema.Draft202012Validator(schema).is_valid
    dfa = compile_term(language.term)
    for value in inside:
        spaced, tight = (json.dumps(value, ensure_ascii=False, separators=s) for s in (None, (",", ":")))
        assert valid(value) and dfa.accepts(spaced) and dfa.accepts(tight)
        language.verify(spaced)
    for value in outside:
        assert not valid(value) and not dfa.accepts(json.dumps(value, ensure_ascii=False))
        with pytest.raises(RuntimeError, match="a fault of lavida"):
            language.verify(json.dumps(value))


BOMB = {f"a{i}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/a{i + 1}"}] * 8} for i in range(9)}
DEEP: dict[str, Any] = {"type": "null"}
for _ in range(3000):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "malformed at /type"),
        ({"type": "string", "maxLength": -1}, "malformed at /maxLength"),
        ([], "a schema is an object, got list"),
        ("{", "is not JSON"),
        pytest.param("{" * 100_000, "JSON", id="braces"),
        ('{"type": "number", "minimum": NaN}', "holds NaN"),
        (True, "allows any value"),
        ({"type": "array"}, "at /items allows any value; give a type"),
        ({"type": "object"}, "an object without properties"),
        ({"title": "x"}, "allows any value"),
        ({"type": "array", "items": {"type": "null"}, "uniqueItems": True}, "uses 'uniqueItems'"),
        ({"type": "array", "items": {"type": "null"}, "contains": {"const": 1}}, "uses 'contains'"),
        ({"not": {"type": "null"}}, "uses 'not'"),
        ({"type": "number", "multipleOf": 0.1}, "multiples"),
        ({"type": "integer", "multipleOf": 2000}, "multiples of 2000"),
        ({"type": "string", "pattern": "(?=a)"}, "looking ahead"),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["b"]}, "requires 'b'"),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "branches may overlap"),
        ({"$defs": {"p": {"type": "array", "items": {"$ref": "#/$defs/p"}}}, "$ref": "#/$defs/p"}, "is recursive"),
        ({"$ref": "#"}, "is recursive|allows any"),
        ({"$ref": "#/$defs/q"}, "which is not in it"),
        ({"$ref": "other.json"}, "outside of itself"),
        ({"$defs": {**BOMB, "a9": {"type": "null"}}, "$ref": "#/$defs/a0"}, "more than 2000 parts"),
        pytest.param(DEEP, "nested too deeply", id="deep"),
        pytest.param({"enum": list(range(50_000))}, "more than 10000 values", id="many"),
        pytest.param({"enum": [str(i) * 9 for i in range(2_000)]}, "too complex", id="long"),
    ],
)
def test_refuses_in_one_line(schema: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as told:
        compile_term(schema_language(schema).term)
    assert "\n" not in str(told.value) and len(str(told.value)) < 400


def test_a_file_is_read_and_a_large_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"type": "null"}')
    assert compile_term(schema_language(file).term).accepts("null")
    assert compile_term(schema_language(str(file)).term).accepts("null")
    file.write_text(json.dumps({"enum": ["x" * 10_000_000]}))
    with pytest.raises(RequestError, match="1000000 at most"):
        schema_language(file)
    with pytest.raises(RequestError, match="cannot read the schema .* .No such file"):
        schema_language(tmp_path / "none.json")


def test_one_constraint_at_a_time() -> None:
    assert language_of({"regex": None}) is None
    with pytest.raises(RequestError, match="regex and choices cannot go together"):
        language_of({"regex": "a", "choices": ["a"]})
    for wrong in ([], "abc", [1]):
        with pytest.raises(RequestError, match="a list of at least one text"):
            language_of({"choices": wrong})
