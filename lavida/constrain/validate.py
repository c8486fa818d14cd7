"""Check schemas and values with the jsonschema package (draft 2020-12), which knows nothing of automata."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema
from referencing.jsonschema import EMPTY_REGISTRY

from lavida.constrain.dfa import Dfa, compile_capped
from lavida.constrain.regex import regex_term
from lavida.errors import RequestError

MOST_VALUES, MOST_LETTERS = 10_000, 100_000  # of a schema
_ANNOTATIONS = frozenset(
    "title description default examples deprecated readOnly writeOnly $comment contentMediaType contentEncoding "
    "contentSchema".split()
)
_METASCHEMA = jsonschema.Draft202012Validator(
    jsonschema.Draft202012Validator.META_SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
_SHORT = 12  # letters of a text that `re` may be asked about: its time is exponential for some patterns


def as_json(schema: Any) -> Any:
    """Return a schema as `json` would read it back: tuples are lists, names are texts. Raises RequestError."""
    try:
        plain = json.loads(json.dumps(schema, default=_plain))
    except (TypeError, ValueError) as error:
        raise RequestError(f"the schema is not JSON ({error}); mend it") from None
    named = [value for value in _walk(plain) if isinstance(value, (dict, str))]
    letters = sum(len("".join(value)) for value in named)  # of an object those of its names
    if size_of(plain) > MOST_VALUES or letters > MOST_LETTERS:
        raise RequestError(
            f"the schema holds more than {MOST_VALUES} values or {MOST_LETTERS} letters; make it smaller"
        )
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no type of JSON")


def size_of(schema: Any) -> int:
    """Return how many values a schema holds."""
    return sum(1 for _ in _walk(schema))


def _walk(schema: Any) -> Iterator[Any]:
    todo = [schema]
    while todo:
        yield (value := todo.pop())
        todo.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())


def check_schema(schema: Any, where: str = "") -> None:
    """Raise RequestError for a schema that its metaschema forbids, unless what is wrong asserts nothing."""
    errors = _METASCHEMA.iter_errors(schema)
    error = jsonschema.exceptions.best_match(error for error in errors if not _harmless(error))
    if error is not None:
        place = where + "".join(f"/{escape(str(name))}" for name in error.absolute_path)
        message = " ".join(error.message.split())
        raise RequestError(f"the schema is malformed at {place or 'the top'}: {message[:200]}; mend it")


def _harmless(error: jsonschema.ValidationError) -> bool:
    """Tell whether an error lies in an annotation, which may be of any kind for all that it matters here."""
    path = list(error.absolute_schema_path)
    return any(before == "properties" and name in _ANNOTATIONS for before, name in zip(path, path[1:]))


def validator(schema: Any) -> Any:
    """Return a validator of a schema, which asks no network. Raises RequestError if the schema is malformed."""
    check_schema(schema)
    return _Validator(schema, registry=EMPTY_REGISTRY)


def escape(name: str) -> str:
    """Return a name as JSON pointers write it."""
    return name.replace("~", "~0").replace("/", "~1")


@lru_cache(maxsize=64)
def _search(pattern: str) -> Dfa:
    return next(compile_capped(regex_term(pattern, search=True)))


def finds(pattern: str, value: str) -> bool:
    """Tell whether a pattern is found in a text, in linear time. Raises RequestError for what is not regular."""
    if _search(pattern).accepts(value):
        return True
    # Beyond ASCII our automata leave out some of what `re` finds.
    return not value.isascii() and len(value) <= _SHORT and re.search(pattern, value) is not None


def _pattern(checker: Any, pattern: str, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and not finds(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    checker: Any, patterns: Mapping[str, Any], value: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    for pattern, below in patterns.items() if isinstance(value, dict) else ():
        for name, member in value.items():
            if finds(pattern, name):
                yield from checker.descend(member, below, path=name, schema_path=pattern)


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator, {"pattern": _pattern, "patternProperties": _pattern_properties}
)


Resolve = Callable[[Any], list[Any]]  # from a schema to those that it is made of by $ref and allOf


def disjoint(left: Sequence[Any], right: Sequence[Any], resolve: Resolve) -> bool:
    """Tell whether surely no value is valid by all schemas of both sides, by types, listed values and properties.

    The schemas are those of `resolve`: objects or False.
    """
    if any(schema is False for schema in (*left, *right)) or any(_apart(a, b) for a in left for b in right):
        return True
    return not (_required(left) & _required(right)).isdisjoint(separating_names(left, right, resolve))


def separating_names(left: Sequence[Any], right: Sequence[Any], resolve: Resolve) -> list[str]:
    """Return the properties that, where both sides have them, cannot have the same value."""
    sides: list[dict[str, list[Any]]] = [{}, {}]
    for properties, schemas in zip(sides, (left, right), strict=True):
        for name, below in (pair for schema in schemas for pair in schema.get("properties", {}).items()):
            properties.setdefault(name, []).extend(resolve(below))
    one, other = sides
    return [name for name in one if name in other and disjoint(one[name], other[name], resolve)]


def _required(schemas: Sequence[Any]) -> set[str]:
    """Return the required names, if the schemas allow nothing but objects."""
    if not any(schema.get("type") in ("object", ["object"]) for schema in schemas):
        return set()
    return {name for schema in schemas for name in schema.get("required", ())}


def _apart(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    listed = [s["enum"] if "enum" in s else [s["const"]] for s in (left, right) if "enum" in s or "const" in s]
    if len(listed) == 2:
        return not any(a == b for a in listed[0] for b in listed[1])  # True == 1 errs on the side of refusing
    kinds = [set([s["type"]] if isinstance(s["type"], str) else s["type"]) for s in (left, right) if "type" in s]
    spread = [kind | ({"number", "integer"} if kind & {"number", "integer"} else set()) for kind in kinds]
    return len(spread) == 2 and not spread[0] & spread[1]
