"""Random regexes, schemas and templates: nothing but a refusal of ours, nothing slow, and what is accepted is kept.

The seeds are fixed. The default run has about 200 cases, `-m slow` 5,000 of each kind.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from referencing.exceptions import Unresolvable

from lavida.constrain.dfa import compile_capped
from lavida.constrain.language import language_of, regex_language, schema_language
from lavida.constrain.regex import regex_term
from lavida.constrain.template import Choice, Hole, Template, poem
from lavida.errors import LavidaError
from lavida.text.forms import form_question
from tests.constrain.walks import sample, sample_text
from tests.tiny import tiny_tokenizer

SEED = 20261130
ALPHABET = "ab1 \n-"
TEXTS = ["".join(t) for n in range(4) for t in itertools.product(ALPHABET, repeat=n)]


def fuzz(cases: int) -> Callable[[Any], Any]:
    """Run so many cases of a fixed seed, each within 10 seconds."""

    def decorate(test: Any) -> Any:
        checked = settings(max_examples=cases, deadline=10_000, database=None, suppress_health_check=list(HealthCheck))
        return seed(SEED)(checked(test))

    return decorate


# Regexes

ATOMS = st.sampled_from(
    ["a", "b", "1", " ", "-", "é", r"\n", ".", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", "[ab]", "[^a]", r"[^\w]"]
    + ["[a-é]", r"[\d-]", "", "日", "K", "[^ſ]"]
)
ANCHORS = st.sampled_from(["^", "$", r"\A", r"\Z", r"\b", r"\B"])
UNKNOWN = st.sampled_from(
    ["(?=a)", "(?!a)", "(?<=a)", "(?<!b)", r"(a)\1", "a++", "(?>ab)", "(?P<n>a)(?P=n)", "(?(1)a|b)"]
)
COUNTS = st.sampled_from(["*", "+", "?", "*?", "{2}", "{0,3}", "{1,}", "{,2}", "{0,5000}", "{300}"])
FLAGS = st.sampled_from(["", "", "", "(?i)", "(?m)", "(?s)", "(?a)", "(?x)", "(?im)", "(?am)"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, COUNTS).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.tuples(st.sampled_from(["i", "s", "m", "a", "-i"]), inner).map(lambda pair: f"(?{pair[0]}:{pair[1]})"),
    )


BODIES = st.recursive(st.one_of(ATOMS, ATOMS, ATOMS, ANCHORS), _larger, max_leaves=10)
REGEXES = st.one_of(
    st.tuples(FLAGS, st.lists(BODIES, min_size=1, max_size=3).map("|".join)).map("".join),
    st.tuples(BODIES, UNKNOWN, BODIES).map("".join),
    st.text(alphabet=r"ab()[]{}|*+?^$\.,-0123<>=!:PiAZbBwWdDsSé", max_size=25),
    st.text(max_size=10),
)


def check_regex(pattern: str, number: int) -> None:
    """Compare the automaton of a pattern with `re`, as a whole and within a text."""
    try:
        dfa = regex_language(pattern).dfa
        within = next(compile_capped(regex_term(pattern, search=True)))
    except LavidaError as error:
        assert "\n" not in str(error)
        return
    r = random.Random(number)
    compiled = re.compile(pattern)
    for _ in range(5):
        if len(dfa.final):
            text = sample_text(dfa, r, most=14)
            assert len(text) > 40 or compiled.fullmatch(text), (pattern, text)
        if len(within.final):
            text = sample_text(within, r, most=14)
            assert len(text) > 40 or compiled.search(text), (pattern, text)
    # Beyond ASCII less is written than `re` matches, hence only patterns of ASCII are compared in full.
    for text in r.sample(TEXTS, 60):
        if compiled.fullmatch(text) and r"\B" not in pattern:
            assert dfa.accepts(text), (pattern, text)
        if compiled.search(text) and r"\B" not in pattern and not (text.endswith("\n") and "$" in pattern):
            assert within.accepts(text), (pattern, text)


@fuzz(60)
@given(pattern=REGEXES, number=st.integers(0, 2**30))
def test_regexes(pattern: str, number: int) -> None:
    check_regex(pattern, number)


@pytest.mark.slow
@fuzz(5_000)
@given(pattern=REGEXES, number=st.integers(0, 2**30))
def test_five_thousand_regexes(pattern: str, number: int) -> None:
    check_regex(pattern, number)


# Schemas

NAMES = ["a", "b", "kind", "é", "a/b", "~x", ""]
KEYWORDS = (
    "type enum const minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf "
    "items prefixItems minItems maxItems uniqueItems contains minContains maxContains unevaluatedItems properties "
    "required additionalProperties patternProperties propertyNames minProperties maxProperties dependentRequired "
    "dependentSchemas dependencies unevaluatedProperties anyOf oneOf allOf not if then else $ref $dynamicRef $anchor "
    "$id $defs definitions $schema $comment title description default examples discriminator nullable x-foo readOnly "
    "contentMediaType contentEncoding contentSchema deprecated additionalItems"
).split()
TYPES = ["null", "boolean", "string", "integer", "number", "array", "object"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([0.5, -1.5, 1e300, 10000, 10**20, float("nan"), float("inf"), 3.0]),
    st.sampled_from([*NAMES, *TYPES, "#", "#/$defs/a", "#/properties/a", "#a", "date", "^a|b$", "\ud800"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, *KEYWORDS]), inner, max_size=3)
    ),
    max_leaves=6,
)
REFS = st.sampled_from(
    ["#", "#/$defs/a", "#/definitions/b", "#/$defs/a%2Fb", "#/$defs/a~1b", "#/properties/a", "#/default", "#a", "x"]
    + ["http://[", "#/%zz", "#/items/0", "#/anyOf/0", "https://e.com/a#/$defs/a", "#/$defs/%C3%A9", ""]
)
PATTERNS = st.one_of(st.sampled_from(["^a|b$", "^a+$", r"\d", "^.{0,5000}$", r"^\w+\b", "(a+)+$", "(", "é"]), BODIES)
SMALL = st.integers(0, 4)
COUNTED = st.one_of(SMALL, SMALL, st.sampled_from([100, 5000, 10**9, 2.0]))
NUMBERS = st.one_of(st.integers(-20, 20), st.sampled_from([0.5, -2.25, 1e3, 99.99, 10**18, 1e-7]))


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that are mostly well formed, of all that may stand in one."""
    schemas, named = st.lists(inner, min_size=1, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    names = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
    string = {"pattern": PATTERNS, "minLength": COUNTED, "maxLength": COUNTED}
    number = dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], NUMBERS)
    array = {
        "items": inner,
        "prefixItems": schemas,
        "minItems": SMALL,
        "maxItems": COUNTED,
        "uniqueItems": st.booleans(),
    }
    closing = st.one_of(st.booleans(), inner)
    members = {
        "required": names,
        "additionalProperties": closing,
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=1),
        "minProperties": SMALL,
        "maxProperties": COUNTED,
        "unevaluatedProperties": closing,
    }
    several = {"anyOf": schemas, "oneOf": schemas, "allOf": schemas, "$ref": REFS}
    places = {"$defs": named, "definitions": named, "default": VALUES, "$anchor": st.just("a")}
    noise = {"title": st.just("t"), "x-foo": VALUES, "format": st.sampled_from(["date", "hostname", "int32", "email"])}

    def made(kind: str, keywords: dict[str, Any], fixed: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries({"type": st.just(kind), **(fixed or {})}, optional={**keywords, **noise})

    return st.one_of(
        made("string", string),
        made("integer", {**number, "multipleOf": st.integers(1, 40)}),
        made("number", {**number, "multipleOf": NUMBERS.filter(lambda n: n > 0)}),
        made("array", array),
        made("object", members, {"properties": named}),
        made("object", {**members, **places, **several}, {"properties": named}),
        st.fixed_dictionaries({}, optional={**several, **places, **noise}),
        st.fixed_dictionaries({}, optional={**several, "type": st.sampled_from(TYPES), **string, **members, **array}),
        st.fixed_dictionaries(
            {}, optional={"enum": st.lists(VALUES, max_size=4), "const": VALUES, **string, **several}
        ),
        st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=4),
    )


PLAIN = st.sampled_from(
    [{"type": kind} for kind in ("string", "integer", "null", "boolean", "number")]
    + [{"const": "x"}, {"enum": ["a", 1]}]
)
INNER = st.recursive(st.one_of(PLAIN, PLAIN, st.sampled_from([True, False, {}]), VALUES), _schemas, max_leaves=8)
SCHEMAS = st.one_of(_schemas(st.one_of(PLAIN, INNER)), _schemas(PLAIN), _schemas(PLAIN), VALUES)


def check_schema(schema: Any, number: int) -> None:
    """Hold sampled texts of an accepted schema against jsonschema."""
    try:
        language = schema_language(schema)
        dfa = language.dfa
        form_question(schema)
    except LavidaError as error:
        assert "\n" not in str(error)
        return
    r, valid = random.Random(number), jsonschema.Draft202012Validator(schema).is_valid
    for _ in range(5 if len(dfa.final) else 0):
        text = sample_text(dfa, r)
        language.verify(text)
        try:
            assert valid(json.loads(text)), (schema, text)
        except Unresolvable:
            pass  # in a part of the schema that is not read


@fuzz(80)
@given(schema=SCHEMAS, number=st.integers(0, 2**30))
def test_schemas(schema: Any, number: int) -> None:
    check_schema(schema, number)


@pytest.mark.slow
@fuzz(5_000)
@given(schema=SCHEMAS, number=st.integers(0, 2**30))
def test_five_thousand_schemas(schema: Any, number: int) -> None:
    check_schema(schema, number)


SHORT = st.sampled_from([0, 1, 2, 3, 5, 5000])
STRINGS = st.fixed_dictionaries(
    {"type": st.just("string")}, optional={"pattern": BODIES, "minLength": st.integers(0, 2), "maxLength": SHORT}
)
INTEGERS = st.fixed_dictionaries(
    {"type": st.just("integer")},
    optional={**dict.fromkeys(["minimum", "exclusiveMaximum"], st.integers(-20, 120)), "multipleOf": st.integers(1, 9)},
)
ONES = st.one_of(STRINGS, INTEGERS, st.just({"type": "null"}))
JOINED = st.one_of(
    ONES,
    *(st.lists(ONES, min_size=1, max_size=3).map(lambda of, key=key: {key: of}) for key in ("anyOf", "oneOf", "allOf")),
)


def check_values(schema: Any, number: int) -> None:
    """Compare an accepted schema of strings, integers and null with jsonschema, value by value."""
    try:
        dfa = schema_language(schema).dfa
    except LavidaError:
        return
    valid = jsonschema.Draft202012Validator(schema).is_valid
    if "\\B" in json.dumps(schema):
        return
    strings = [text for text in random.Random(number).sample(TEXTS, 60) if not text.endswith("\n")]
    for value in [None, True, *range(-25, 125, 3), *strings]:
        assert dfa.accepts(json.dumps(value)) == valid(value), (schema, value)


@fuzz(40)
@given(schema=JOINED, number=st.integers(0, 2**30))
def test_values(schema: Any, number: int) -> None:
    check_values(schema, number)


@pytest.mark.slow
@fuzz(5_000)
@given(schema=JOINED, number=st.integers(0, 2**30))
def test_values_of_five_thousand_schemas(schema: Any, number: int) -> None:
    check_values(schema, number)


@cache
def real_schemas() -> list[Any]:
    """Return schemas of pydantic models and one in the style of OpenAPI."""
    pydantic = pytest.importorskip("pydantic")

    class Cat(pydantic.BaseModel):
        kind: Literal["cat"] = "cat"
        lives: int = pydantic.Field(ge=0, le=9, examples=[3])

    class Dog(pydantic.BaseModel):
        kind: Literal["dog"]
        tags: list[str] = pydantic.Field(max_length=10000)
        born: str | None = pydantic.Field(None, pattern=r"^\d{4}$|^unknown$")

    class Home(pydantic.BaseModel):
        pet: Cat | Dog = pydantic.Field(discriminator="kind")
        colour: Literal["red", "blue"] = "red"
        size: tuple[int, float]
        name: str = pydantic.Field(min_length=1, max_length=300, description="what it is called")

    order = {
        "type": "object",
        "required": ["id", "status"],
        "properties": {
            "id": {"type": "integer", "format": "int64", "example": 10, "nullable": True},
            "status": {"type": "string", "enum": ["placed", "sent"], "xml": {"name": "x"}, "x-order": 1},
            "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}, "externalDocs": {"url": "u"}},
        },
        "components": {"schemas": {"Line": {"properties": {"sku": {"type": "string"}}, "required": ["sku"]}}},
    }
    return [Cat.model_json_schema(), Dog.model_json_schema(), Home.model_json_schema(), order]


def test_real_schemas_are_accepted() -> None:
    for number, schema in enumerate(real_schemas()):
        assert len(schema_language(schema).dfa.final)
        check_schema(schema, number)


def mutated(schema: Any, r: random.Random) -> Any:
    """Return a schema with some of its values replaced, removed, renamed or exchanged."""
    schema = json.loads(json.dumps(schema))
    for _ in range(r.randint(1, 4)):
        places, todo = [], [schema]
        while todo:
            value = todo.pop()
            keys = list(value) if isinstance(value, dict) else list(range(len(value)))
            places += [(value, key) for key in keys]
            todo += [value[key] for key in keys if isinstance(value[key], (dict, list))]
        if not places:
            return schema
        value, key = r.choice(places)
        other, taken = r.choice(places)
        match r.choice(["swap", "copy", "drop", "rename", "scalar"]):
            case "swap":
                value[key], other[taken] = json.loads(json.dumps((other[taken], value[key])))
            case "copy":
                value[key] = json.loads(json.dumps(other[taken]))
            case "drop":
                value.pop(key)
            case "rename" if isinstance(value, dict):
                value[r.choice(KEYWORDS)] = value.pop(key)
            case _:
                value[key] = r.choice([None, True, False, 0, -1, 10**6, "a", [], {}, "#/$defs/Cat", "integer", 0.5])
    return schema


@fuzz(40)
@given(number=st.integers(0, 2**30))
def test_mutated_real_schemas(number: int) -> None:
    r = random.Random(number)
    check_schema(mutated(r.choice(real_schemas()), r), number)


@pytest.mark.slow
@fuzz(5_000)
@given(number=st.integers(0, 2**30))
def test_five_thousand_mutated_real_schemas(number: int) -> None:
    r = random.Random(number)
    check_schema(mutated(r.choice(real_schemas()), r), number)


# Templates, and values of the wrong kind

WORDS = st.sampled_from(["a", "A cat", " ", "", "\n", "é", "\ud800", ".", "the sand", "日"])
ODD = st.one_of(st.none(), st.integers(-2, 10**9), WORDS, st.lists(WORDS, max_size=2))
HOLES = st.fixed_dictionaries(
    {},
    optional={
        "least": st.one_of(SMALL, SMALL, ODD),
        "most": st.one_of(SMALL, st.just(3000), ODD),
        "measure": st.sampled_from(["tokens", "tokens", "words", "syllables", "letters"]),
        "start": st.one_of(st.sampled_from(["", "A", "Be"]), WORDS, ODD),
    },
)
PARTS = st.one_of(
    WORDS,
    HOLES,
    st.lists(WORDS, max_size=3),
    ODD,
)
POEMS = st.fixed_dictionaries(
    {},
    optional={
        "starts": st.lists(WORDS, max_size=3),
        "acrostic": st.one_of(st.none(), WORDS),
        "syllables": st.one_of(st.none(), st.lists(SMALL, max_size=3)),
        "words": st.one_of(st.none(), st.lists(SMALL, max_size=3)),
        "tokens": st.one_of(st.none(), st.lists(SMALL, max_size=3)),
        "lines": st.one_of(st.none(), SMALL, st.just(10**7)),
    },
)


def check_template(parts: list[Any], verse: dict[str, Any], number: int) -> None:
    """Hold sampled texts of an accepted template against its own check."""
    import numpy as np

    vocabulary = tiny_tokenizer()

    def part(given: Any) -> Any:
        return Hole(**given) if isinstance(given, dict) else Choice(options=given) if isinstance(given, list) else given

    for make in (lambda: Template(parts=tuple(map(part, parts))), lambda: poem(**verse)):
        try:
            template = make()
            automaton = template.automaton(vocabulary)
            assert template.room(vocabulary) >= 1
        except LavidaError as error:
            assert "\n" not in str(error)
            continue
        lengths = automaton.lengths(60)
        if lengths:
            for _ in range(2):
                try:
                    ids = sample(automaton, np.random.default_rng(number), most=400)
                except AssertionError:  # a walk that did not end in time
                    continue
                template.verify(vocabulary.decode(ids, exact=True))


@fuzz(20)
@given(parts=st.lists(PARTS, max_size=4), verse=POEMS, number=st.integers(0, 2**30))
def test_templates(parts: list[Any], verse: dict[str, Any], number: int) -> None:
    check_template(parts, verse, number)


@pytest.mark.slow
@fuzz(5_000)
@given(parts=st.lists(PARTS, max_size=4), verse=POEMS, number=st.integers(0, 2**30))
def test_five_thousand_templates(parts: list[Any], verse: dict[str, Any], number: int) -> None:
    check_template(parts, verse, number)


@fuzz(60)
@given(name=st.sampled_from(["regex", "schema", "choices", "template"]), value=VALUES)
def test_a_value_of_the_wrong_kind_is_refused(name: str, value: Any) -> None:
    try:
        language_of({name: value})
    except LavidaError as error:
        assert "\n" not in str(error)
