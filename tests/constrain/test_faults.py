"""Faults that users of such tools met, with others of their kinds; each was refused or crashed before."""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import Any, Literal

import jsonschema
import pytest

from lavida.config import DenoiserConfig
from lavida.constrain.canvas import constraint_of
from lavida.constrain.language import (
    Language,
    choice_language,
    language_of,
    read_schema,
    regex_language,
    schema_language,
)
from lavida.constrain.template import Choice, Hole, Template
from lavida.constrain.tokens import TokenAutomaton
from lavida.errors import RequestError
from lavida.text.forms import form_question
from lavida.text.tokenizer import Vocabulary
from tests.tiny import tiny_tokenizer


def accepts(schema: Any, value: Any) -> bool:
    return schema_language(schema).dfa.accepts(json.dumps(value, ensure_ascii=False))


# Row 1: anchors anywhere


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("^yes$|^no$", ["yes", "no"], ["yesno", ""]),
        (r"^\d{5}$|^\d{5}-\d{4}$", ["12345", "12345-6789"], ["12345-"]),
        ("^$|^[0-9]+$", ["", "12"], ["a"]),
        ("(^a|b$)+", ["a", "b", "ab"], ["ba"]),
        (r"(\Ayes\Z|no)", ["yes", "no"], ["yn"]),
        (r"a\b b|\bfoo\b", ["a b", "foo"], ["ab"]),
        (r"foo\B.|x\b.", ["foox", "x "], ["foo ", "xx"]),
        (r"(?m)^a$\n^b$", ["a\nb"], ["ab", "a\n"]),
        ("a$\n", ["a\n"], ["a", "a\n\n"]),
        ("a^b|(?:$)c?", [""], ["ab", "c"]),
        (r"(?a)é\b.|\w\B\w", ["ab"], ["é ", "a"]),
        ("[^ſ](?!)|y", None, None),  # looking ahead stays refused
    ],
)
def test_anchors_anywhere(pattern: str, inside: list[str] | None, outside: list[str] | None) -> None:
    if inside is None or outside is None:
        with pytest.raises(RequestError, match="looking ahead"):
            regex_language(pattern)
        return
    dfa = regex_language(pattern).dfa
    for text in inside:
        assert re.fullmatch(pattern, text) and dfa.accepts(text)
    for text in outside:
        assert not re.fullmatch(pattern, text) and not dfa.accepts(text)


def test_anchors_in_the_pattern_of_a_schema() -> None:
    zipcode = {"type": "string", "pattern": r"^\d{5}$|^\d{5}-\d{4}$"}
    assert accepts(zipcode, "12345-6789") and not accepts(zipcode, "12345-")
    lines = {"type": "string", "pattern": r'(?m)^"b\b', "maxLength": 9}
    assert accepts(lines, 'a\n"b"') and not accepts(lines, 'a"b')  # escaped in the text: the anchors see characters


def test_a_letter_that_equals_one_beyond_ascii_is_not_written() -> None:
    assert re.fullmatch("(?i)[^\u017f]", "s") is None and not regex_language("(?i)[^\u017f]").dfa.accepts("s")


# Row 2: what asserts nothing


def test_a_tagged_union_of_pydantic() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Cat(pydantic.BaseModel):
        kind: Literal["cat"] = "cat"  # has a default, so the schema does not require it
        lives: int

    class Dog(pydantic.BaseModel):
        kind: Literal["dog"] = "dog"

    class Home(pydantic.BaseModel):
        pet: Cat | Dog = pydantic.Field(discriminator="kind")

    schema = Home.model_json_schema()
    assert "discriminator" in json.dumps(schema)
    assert accepts(schema, {"pet": {"kind": "cat", "lives": 9}}) and accepts(schema, {"pet": {"kind": "dog"}})
    assert not accepts(schema, {"pet": {"kind": "dog", "lives": 9}}) and not accepts(schema, {"pet": {"lives": 9}})


@pytest.mark.parametrize(
    "harmless",
    [
        {"x-order": 1},
        {"example": "a"},
        {"examples": {"a": {"value": "a"}}},  # as OpenAPI writes them
        {"$comment": "c", "contentMediaType": "text/plain", "contentEncoding": "base64"},
        {"format": "hostname"},
        {"nullable": True},
        {"externalDocs": {"url": "u"}, "xml": {"name": "x"}},
        {"minimum": 3, "items": {"not": {}}, "uniqueItems": True},  # of other types
        {"if": {"const": "a"}},
        {"then": False},
        {"$anchor": "here", "$vocabulary": {}},
        {"title": 5, "description": None, "deprecated": "soon"},
    ],
)
def test_what_asserts_nothing_is_accepted(harmless: dict[str, Any]) -> None:
    assert accepts({"type": "string", **harmless}, "ab") and not accepts({"type": "string", **harmless}, None)
    assert accepts({"type": "object", "properties": {"a": {"type": "string", **harmless}}}, {"a": "ab"})


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"not": {"const": {}}}, "'not'"),
        ({"propertyNames": {"maxLength": 1}}, "'propertyNames'"),
        ({"dependentRequired": {"a": ["b"]}}, "'dependentRequired'"),
        ({"dependencies": {"a": ["b"]}}, "'dependencies'"),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, "'if'"),
        ({"allOf": [{"unevaluatedProperties": False}]}, "'unevaluatedProperties'"),
    ],
)
def test_what_asserts_and_cannot_be_kept_is_refused_with_its_place(more: dict[str, Any], named: str) -> None:
    inner = {"type": "object", "properties": {"a": {"type": "null"}}, **more}
    with pytest.raises(RequestError, match=f"^the schema at /properties/x~1y/items(/allOf/0)? uses {named}"):
        schema_language({"type": "object", "properties": {"x/y": {"type": "array", "items": inner}}})


def test_an_object_is_what_all_its_schemas_allow() -> None:
    schema = {
        "$defs": {"base": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
        "$ref": "#/$defs/base",
        "properties": {"a": {"minimum": 3}, "b": {"type": "null"}, "c1": {"type": "string"}, "no": {"type": "null"}},
        "patternProperties": {r"\d$": {"maxLength": 1}, "^no$": False},
        "additionalProperties": {"type": "string"},
        "unevaluatedProperties": False,
    }
    valid = jsonschema.Draft202012Validator(schema).is_valid
    for value in ({"a": 3}, {"a": 2}, {"b": None}, {"a": 3, "b": None, "c1": "x"}, {"a": 3, "c1": "xx"}):
        assert accepts(schema, value) == valid(value)
    assert not accepts(schema, {"a": 3, "no": None})


# Row 3: counts beyond the canvas


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"type": "string"}, "maxItems": 10_000}, ["a"] * 20),
        ({"type": "array", "items": {"type": "string", "maxLength": 100}, "maxItems": 10}, ["a" * 30] * 10),
        ({"type": "string", "pattern": "^.{0,5000}$"}, "a" * 100),
        ({"type": "string", "pattern": "^(a|bc){1,100000}$", "maxLength": 10**9}, "abc" * 40),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "maxProperties": 10**9}, {"a": None}),
        (
            {"type": "object", "properties": {f"f{i}": {"type": "string", "maxLength": 500} for i in range(40)}},
            {f"f{i}": "ordinary" for i in range(40)},
        ),
    ],
)
def test_counts_are_capped_by_what_a_canvas_holds(schema: dict[str, Any], value: Any) -> None:
    assert accepts(schema, value)
    assert regex_language("[a-z]{0,5000}|(x{0,900}y){0,900}").dfa.accepts("xxy" * 8)


def test_properties_are_counted() -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "null"} for name in "abcd"},
        "required": ["c"],
        "minProperties": 2,
        "maxProperties": 3,
    }
    valid = jsonschema.Draft202012Validator(schema).is_valid
    for bits in range(16):
        value = {name: None for i, name in enumerate("abcd") if bits >> i & 1}
        assert accepts(schema, value) == valid(value)


@pytest.mark.parametrize(
    ("inner", "place"),
    [
        ({"type": "string", "minLength": 3000}, "the schema at /properties/a~1b is"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 5000}, "the schema at /properties/a~1b is"),
        ({"type": "string", "pattern": "^(a|b)*a(a|b){30}$"}, "the pattern of the schema at /properties/a~1b is"),
        ({"type": "string", "pattern": "(?=a)"}, "the schema at /properties/a~1b: the regex uses looking ahead"),
        ({"type": "number", "minimum": float("nan")}, "the schema at /properties/a~1b: a bound of nan"),
        ({}, "the schema at /properties/a~1b allows any value"),
        ({"type": "nul"}, "the schema is malformed at /properties/a~1b/type"),
        ({"$ref": "#/$defs/x"}, "the schema at /properties/a~1b refers to"),
    ],
)
def test_a_refusal_names_the_place(inner: dict[str, Any], place: str) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "null"}, "a/b": inner}}
    with pytest.raises(RequestError, match=f"^{place}"):
        schema_language(schema).automaton(tiny_tokenizer())


# Row 4: what a user writes is no name of ours


@pytest.mark.parametrize(
    "schema",
    [
        {"default": {"type": "reference"}, "$ref": "#/default"},
        {"default": {"type": ["listed", "kinds"]}, "$ref": "#/default"},
        {"default": {"properties": 3}, "anyOf": [{"$ref": "#/default"}]},
        {"default": {"type": "string", "pattern": "("}, "$ref": "#/default"},
        {"default": 3, "$ref": "#/default"},
        {"default": ["a"], "$ref": "#/default/a"},
        {"title": "abc", "$ref": "#/title/0"},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/a/type/b"}}},
        {"enum": [float("inf")]},
        {"const": "\ud800"},
        {"type": "object", "properties": {"\ud800": {"type": "null"}}},
        {"type": "integer", "multipleOf": 1e308},
        {"type": "string", "default": object()},
        {"enum": [10**5000]},
        {"$id": "http://[", "$ref": "#a"},
    ],
)
def test_any_word_of_a_user_is_refused_in_one_line(schema: Any) -> None:
    with pytest.raises(RequestError) as told:
        schema_language(schema)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "asked",
    [
        {"template": "abc"},
        {"template": {"parts": []}},
        {"choices": {"a": 1}},
        {"choices": ["\ud800", "a"]},
        {"regex": 3},
        {"schema": 3},
        {"schema": "no such file"},
    ],
)
def test_an_option_of_the_wrong_kind_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        language_of(asked)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Template(parts="abc"),
        lambda: Template(parts=(3,)),
        lambda: Template(parts=("\ud800",)),
        lambda: Template(parts=("a",) * 1000),
        lambda: Choice(options="abc"),
        lambda: Choice(options=(3,)),
        lambda: Hole(most="many"),
        lambda: Hole(start=3),
        lambda: Hole(least=5000, most=10**9),
    ],
)
def test_templates_refuse_what_they_are_not_made_of(make: Any) -> None:
    with pytest.raises(RequestError):
        make()


def test_a_hole_is_capped_and_lists_will_do() -> None:
    template = Template(parts=["a", Hole(most=10**9), Choice(options=["b"])])
    assert len(template.automaton(tiny_tokenizer()).final) < 5000


def test_an_integer_of_thousands_of_digits_and_a_byte_order_mark(tmp_path: Any) -> None:
    with pytest.raises(RequestError, match="is not JSON"):
        read_schema('{"enum": [%s]}' % ("1" * 5000))
    (tmp_path / "s.json").write_bytes(b'\xef\xbb\xbf{"type": "null"}')
    assert read_schema(tmp_path / "s.json") == {"type": "null"}
    assert accepts(MappingProxyType({"enum": (1, 2)}), 2)


def test_a_pattern_that_takes_re_for_ever_takes_no_time() -> None:
    values = ["a" * 60 + "!", "a" * 60]
    assert not accepts({"enum": values, "pattern": "^(a+)+$"}, values[0])
    assert accepts({"enum": values, "pattern": "^(a+)+$"}, values[1])
    schema_language({"type": "string", "pattern": "^(a+)+$"}).verify(json.dumps("a" * 60))


@pytest.mark.parametrize("schema", [{"properties": 3}, {"properties": ["a"]}, {"title": {"a": 1}}, True])
def test_the_question_of_a_form_takes_any_schema(schema: Any) -> None:
    assert form_question(schema).startswith("Read the image as JSON")


# Row 5: references


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "null"}}},
        {"$ref": "#/$defs/%C3%A9", "$defs": {"é": {"type": "null"}}},
        {"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"type": "null"}}},
        {"$ref": "#/definitions/x", "definitions": {"x": {"type": "null"}}},
        {"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "null"}}},
        {"$id": "https://e.com/a/b", "$ref": "c", "$defs": {"x": {"$id": "c", "type": "null"}}},
        {"$id": "https://e.com/a", "$ref": "https://e.com/a#/$defs/x", "$defs": {"x": {"type": "null"}}},
        {
            "$ref": "c#/$defs/y",
            "$defs": {"x": {"$id": "c", "$defs": {"y": {"$ref": "#z"}, "z": {"$anchor": "z", "const": None}}}},
        },
        {"anyOf": [{"$ref": "#/anyOf/1"}, {"type": "null"}]},
        {"x-shared": {"a": {"type": "null"}}, "$ref": "#/x-shared/a"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": ["null", "string"]}}, "const": None},
        {"$ref": "#/$defs/a", "type": ["null", "string"], "$defs": {"a": {"type": ["null", "integer"]}}},
    ],
)
def test_references_are_resolved_as_jsonschema_does(schema: dict[str, Any]) -> None:
    assert jsonschema.Draft202012Validator(schema).is_valid(None)
    assert accepts(schema, None) and not accepts(schema, "a")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "#"}, "is recursive"),
        ({"allOf": [{"$ref": "#"}]}, "is recursive"),
        ({"$ref": "#a", "$defs": {"x": {"$anchor": "a", "type": "array", "items": {"$ref": "#a"}}}}, "is recursive"),
        ({"oneOf": [{"$ref": "#/oneOf/1"}, {"$ref": "#/oneOf/0"}]}, "is recursive"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "outside of itself"),
        ({"$ref": "file:///etc/passwd"}, "outside of itself"),
    ],
)
def test_references_that_lead_nowhere_are_refused(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        schema_language(schema)


# Awkward: the room of an answer


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (
            schema_language(
                {
                    "type": "object",
                    "properties": {"shop": {"type": "string"}, "items": {"type": "array", "items": {"type": "string"}}},
                    "required": ["shop", "items"],
                }
            ),
            '{"shop": "Blue Market", "items": ["red apples", "bread", "milk"]}',
        ),
        (schema_language({"type": "array", "items": {"type": "integer"}, "maxItems": 5}), "[120, 3, 45]"),
        (regex_language("[a-z]+(, [a-z]+)*"), "red apples, bread".replace(" a", "a")),
        (choice_language(["yes", "a longer answer than that"]), "a longer answer than that"),
    ],
)
def test_a_canvas_has_room_for_an_ordinary_answer(language: Language, text: str) -> None:
    vocabulary = tiny_tokenizer()
    room = language.room(vocabulary)
    assert len(vocabulary.encode(text)) + 1 <= room <= 256
    assert room > language.automaton(vocabulary).lengths(256)[0]


def test_a_constraint_is_built_once() -> None:
    made = []

    class Counted(Template):  # hashed by its parts
        def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
            made.append(self)
            return super().automaton(vocabulary)

    class Unhashed(Counted):
        __hash__ = None  # type: ignore[assignment]

        def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
            made.append(self)
            return Template(parts=self.parts).automaton(vocabulary)

    ids = tiny_tokenizer()
    sizes = {"d_model": 8, "n_layers": 1, "n_heads": 1, "n_kv_heads": 1, "mlp_size": 8}
    config = DenoiserConfig(vocab_size=ids.size, mask_id=ids.mask_id, eos_ids=(ids.eos_id,), **sizes)
    first, second = (constraint_of(Counted(parts=("once",)), ids, config, (5,)) for _ in range(2))
    assert len(made) == 1 and first is not second and first._kind is second._kind
    for _ in range(2):
        constraint_of(Unhashed(parts=("twice",)), ids, config)
    assert len(made) == 3  # what cannot be hashed cannot be found again
    language = regex_language("a+")
    assert constraint_of(language, ids, config)._kind is constraint_of(language, ids, config)._kind
