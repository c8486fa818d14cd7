"""JSON Schema as terms: a value is written as `json.dumps` would, with or without a space behind , and :

What is written is valid, and not all that is valid can be written: properties stand in the schema's order, only those
that it names; numbers have no exponent. A keyword that cannot be kept is refused, never ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from lavida.constrain import numbers
from lavida.constrain.formats import FORMATS
from lavida.constrain.grammar import (
    ANY,
    EMPTY,
    NOTHING,
    Both,
    Listed,
    Repeat,
    Seq,
    Term,
    alt,
    escaped,
    optional,
    seq,
    text,
)
from lavida.constrain.regex import regex_term
from lavida.errors import RequestError

MOST_NODES = 2_000  # schemas inside the schema, each counted as often as it is referred to
MOST_VALUES, MOST_LETTERS = 10_000, 100_000  # of the schema as JSON
LONGEST = 256  # characters of a string that has no such minimum: more than a canvas of 64 tokens mostly takes

_TYPES: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"properties", "required", "additionalProperties"}),
}
_ANNOTATIONS = frozenset(
    "title description default examples deprecated readOnly writeOnly $schema $id $comment $defs definitions".split()
)
_COMBINED = frozenset({"anyOf", "oneOf", "allOf", "$ref", "enum", "const", "type"})
_TOGETHER = (frozenset({"properties", "additionalProperties"}), frozenset({"items", "prefixItems"}))
_KNOWN = _ANNOTATIONS | _COMBINED | frozenset().union(*_TYPES.values())

_SPACE = optional(text(" "))
_COMMA, _COLON = seq(text(","), _SPACE), seq(text(":"), _SPACE)


def schema_term(schema: Any) -> Term:
    """The texts that are valid by a schema and that this module writes. Raises RequestError."""
    try:
        return _Reader(schema).term(schema, "")
    except RecursionError:
        raise RequestError("the schema is nested too deeply; write it flatter") from None


class _Reader:
    """Walks one schema; `where` is the path to a part of it, for messages."""

    def __init__(self, root: Any) -> None:
        self._root, self._open, self._nodes = root, [], 0

    def term(self, schema: Any, where: str) -> Term:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise RequestError(f"the schema has more than {MOST_NODES} parts; make it smaller")
        if schema is False:
            return NOTHING
        if schema is True or not set(schema) - _ANNOTATIONS:
            _refuse(where, "allows any value", "give a type")
        if where and "$id" in schema:
            _refuse(where, "has an $id of its own", "leave it out")
        for keyword in schema:
            if keyword not in _KNOWN:
                _refuse(where, f"uses {keyword!r}, which cannot be guaranteed", "leave it out")
        if "$ref" in schema:
            return self._reference(schema, where)
        if "const" in schema or "enum" in schema:
            return self._listed(schema, where)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return self._combined(schema, keyword, where)
        if "type" not in schema:
            _refuse(where, "has no type", "give one")
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return alt(getattr(self, f"_{kind}")(schema, where) for kind in kinds)

    def _reference(self, schema: Mapping[str, Any], where: str) -> Term:
        target = schema["$ref"]
        if set(schema) - _ANNOTATIONS - {"$ref"}:
            _refuse(where, "has keywords beside $ref", "move them to what it refers to")
        if target in self._open:
            _refuse(where, f"is recursive ({target})", "write out as many levels as are needed")
        found = self._root
        for name in self._path(target, where):
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (KeyError, ValueError, IndexError, TypeError):
                _refuse(where, f"refers to {target!r}, which is not in it", "define it under $defs")
        self._open.append(target)
        term = self.term(found, target)
        self._open.pop()
        return term

    def _path(self, target: str, where: str) -> list[str]:
        if target != "#" and not target.startswith("#/"):
            _refuse(where, f"refers to {target!r}, outside of itself", "copy that under $defs")
        return [name.replace("~1", "/").replace("~0", "~") for name in target.split("/")[1:]]

    def _listed(self, schema: Mapping[str, Any], where: str) -> Term:
        """The values of enum or const that the schema's other keywords allow."""
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if set(schema) - _ANNOTATIONS - {"enum", "const"}:
            if any("$ref" in json.dumps(value) for key, value in schema.items() if key not in ("enum", "const")):
                _refuse(where, "has $ref beside enum", "leave one of them out")
            valid = validator(schema).is_valid
            values = [value for value in values if valid(value)]
        return alt(_literal(value) for value in values)

    def _combined(self, schema: Mapping[str, Any], keyword: str, where: str) -> Term:
        """Every branch with the keywords that stand beside the branches."""
        beside = {key: value for key, value in schema.items() if key != keyword and key not in _ANNOTATIONS}
        branches = schema[keyword]
        if keyword == "oneOf" and len(branches) > 1:
            self._check_apart(branches, where)
        if keyword == "allOf":
            return self.term(self._merged(branches, beside, where), where)
        paths = (f"{where}/{keyword}/{i}" for i in range(len(branches)))
        return alt(self.term(self._merged([one], beside, path), path) for one, path in zip(branches, paths))

    def _merged(self, branches: Sequence[Any], beside: Mapping[str, Any], where: str) -> Any:
        """One schema that says what all of them say; they may not speak of the same things."""
        if not beside and len(branches) == 1:
            return branches[0]
        whole = dict(beside)
        for branch in branches:
            if isinstance(branch, bool) or "$ref" in branch or "$ref" in whole:
                _refuse(where, "combines a reference with other keywords", "write out what it refers to")
            for key, value in branch.items():
                if key not in _ANNOTATIONS and whole.setdefault(key, value) != value:
                    _refuse(where, f"gives {key!r} twice", "combine them into one")
        for names in _TOGETHER:
            if sum(bool(names & set(one)) for one in (beside, *branches)) > 1:
                _refuse(where, f"combines several that say {' or '.join(sorted(names))}", "write them as one schema")
        return whole

    def _check_apart(self, branches: Sequence[Any], where: str) -> None:
        """No value may be valid by two branches: their types differ, or a required property with listed values does."""
        plain = [self._resolved(branch) for branch in branches]
        for i, one in enumerate(plain):
            for other in plain[:i]:
                names = set(_required(one)) & set(_required(other))
                pairs = [(one, other), *((_property(one, n), _property(other, n)) for n in sorted(names))]
                if not any(_apart(a, b) for a, b in pairs):
                    _refuse(where, "has a oneOf whose branches may overlap", "use anyOf, or a const in each")

    def _resolved(self, schema: Any) -> Any:
        if isinstance(schema, Mapping) and set(schema) == {"$ref"} and str(schema["$ref"]).startswith("#/"):
            found = self._root
            for name in self._path(schema["$ref"], ""):
                found = found.get(name) if isinstance(found, Mapping) else None
            return found
        return schema

    def _null(self, schema: Mapping[str, Any], where: str) -> Term:
        return text("null")

    def _boolean(self, schema: Mapping[str, Any], where: str) -> Term:
        return alt((text("true"), text("false")))

    def _string(self, schema: Mapping[str, Any], where: str) -> Term:
        least, most = _counts(schema, "minLength", "maxLength")
        parts: list[Term] = []
        if "pattern" in schema:
            parts.append(regex_term(schema["pattern"], search=True))
        if "format" in schema:
            if schema["format"] not in FORMATS:
                known = ", ".join(FORMATS)
                _refuse(where, f"uses the format {schema['format']!r}", f"leave it out or take one of {known}")
            parts.append(FORMATS[schema["format"]])
        if most is not None:
            most = min(most, max(least, LONGEST))
        if not parts or least or most is not None:
            parts.append(Repeat(ANY, least, most))
        whole = parts[0]
        for part in parts[1:]:
            whole = Both(whole, part)
        return seq(text('"'), escaped(whole), text('"'))

    def _integer(self, schema: Mapping[str, Any], where: str) -> Term:
        multiple = schema.get("multipleOf", 1)
        if multiple != int(multiple) or multiple > 1000:
            _refuse(where, f"asks for multiples of {multiple}", "take a whole number up to 1000")
        return numbers.integer(*_bounds(schema), multiple_of=int(multiple))

    def _number(self, schema: Mapping[str, Any], where: str) -> Term:
        if "multipleOf" in schema:
            _refuse(where, "asks for multiples among numbers with a fraction", "take an integer, or no multipleOf")
        return numbers.decimal(*_bounds(schema))

    def _array(self, schema: Mapping[str, Any], where: str) -> Term:
        least, most = _counts(schema, "minItems", "maxItems")
        if schema.get("uniqueItems") and (most is None or most > 1):
            _refuse(where, "asks for unique items, which cannot be guaranteed", "leave uniqueItems out")
        given = schema.get("prefixItems", ())
        given = given[: len(given) if most is None else most]
        first = [self.term(one, f"{where}/prefixItems/{i}") for i, one in enumerate(given)]
        if most is None or most > len(first):
            if "items" in schema or not first:
                more = self.term(schema.get("items", True), f"{where}/items")
            else:
                more, most = NOTHING, len(first)
            if more == NOTHING:
                most = len(first)
        else:
            more = NOTHING
        if most is not None and least > most:
            return NOTHING
        return seq(text("["), _items(first, more, least, most), text("]"))

    def _object(self, schema: Mapping[str, Any], where: str) -> Term:
        properties, required = schema.get("properties", {}), _required(schema)
        missing = [name for name in required if name not in properties]
        if missing:
            _refuse(where, f"requires {missing[0]!r} and does not describe it", "put it among the properties")
        if not properties and schema.get("additionalProperties", True) is not False:
            _refuse(where, "is an object without properties", "name those that it has")
        if isinstance(schema.get("additionalProperties"), Mapping):
            _refuse(where, "describes additionalProperties", "name the properties, or set it to false")
        members = tuple(
            seq(_literal(name), _COLON, self.term(value, f"{where}/properties/{name}"))
            for name, value in properties.items()
        )
        needed = tuple(name in required for name in properties)
        return seq(text("{"), Listed(members, needed, _COMMA), text("}"))


def _items(first: list[Term], more: Term, least: int, most: int | None) -> Term:
    """The items of an array: those of `first` in their order, then `more` of one kind."""
    rest = Repeat(seq(_COMMA, more), max(least - len(first), 0), None if most is None else most - len(first))
    if not first:
        if most == 0:
            return EMPTY
        rest = Repeat(seq(_COMMA, more), max(least - 1, 0), None if most is None else most - 1)
        return seq(more, rest) if least else optional(seq(more, rest))
    whole: Term = rest
    for i in range(len(first) - 1, -1, -1):
        whole = seq(_COMMA if i else EMPTY, first[i], whole)
        if i >= least:
            whole = optional(whole)
    return whole


def _literal(value: Any) -> Term:
    """A value as `json.dumps` writes it, spaces behind , and : as they come."""
    if isinstance(value, dict):
        pairs = [seq(_literal(key), _COLON, _literal(one)) for key, one in value.items()]
        return seq(text("{"), _joined(pairs), text("}"))
    if isinstance(value, list):
        return seq(text("["), _joined([_literal(one) for one in value]), text("]"))
    return text(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _joined(parts: list[Term]) -> Term:
    return Seq(tuple(part if i == 0 else seq(_COMMA, part) for i, part in enumerate(parts)))


def _counts(schema: Mapping[str, Any], least: str, most: str) -> tuple[int, int | None]:
    highest = schema.get(most)
    return int(schema.get(least, 0)), None if highest is None else int(highest)


def _bounds(schema: Mapping[str, Any]) -> tuple[numbers.Bound | None, numbers.Bound | None]:
    """The narrower of the inclusive and the exclusive end on each side."""

    def ends(name: str) -> list[numbers.Bound]:
        keys = ((name, False), (f"exclusive{name.capitalize()}", True))
        return [numbers.Bound(value=Decimal(repr(schema[k])), strict=strict) for k, strict in keys if k in schema]

    least = max(ends("minimum"), key=lambda end: (end.value, end.strict), default=None)
    most = min(ends("maximum"), key=lambda end: (end.value, not end.strict), default=None)
    return least, most


def _required(schema: Any) -> Sequence[str]:
    return schema.get("required", ()) if isinstance(schema, Mapping) else ()


def _property(schema: Any, name: str) -> Any:
    return schema.get("properties", {}).get(name)


def _apart(one: Any, other: Any) -> bool:
    """Whether no value can be valid by both schemas, told from their types and lists of values."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one is False or other is False
    listed = [s.get("enum", [s.get("const")]) for s in (one, other) if "enum" in s or "const" in s]
    if len(listed) == 2:
        return not any(a == b for a in listed[0] for b in listed[1])  # True == 1 errs on the side of refusing
    kinds = [set([s["type"]] if isinstance(s["type"], str) else s["type"]) for s in (one, other) if "type" in s]
    spread = [kind | ({"number", "integer"} if kind & {"number", "integer"} else set()) for kind in kinds]
    return len(spread) == 2 and not spread[0] & spread[1]


def validator(schema: Any) -> Any:
    """A validator of the jsonschema package (draft 2020-12), which knows nothing of terms.

    Raises RequestError for a malformed schema, and for one whose check would take long.
    """
    values, letters = _size(schema)
    if values > MOST_VALUES or letters > MOST_LETTERS:
        raise RequestError(
            f"the schema holds more than {MOST_VALUES} values or {MOST_LETTERS} letters; make it smaller"
        )
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        place = "/".join(map(str, error.absolute_path)) or "the top"
        message = " ".join(error.message.split())
        raise RequestError(f"the schema is malformed at {place}: {message[:200]}; mend it") from None
    return jsonschema.Draft202012Validator(schema)


def _size(schema: Any) -> tuple[int, int]:
    """How many values a schema holds, and letters in them; no more than a few beyond what is allowed are counted."""
    values = letters = 0
    todo = [schema]
    while todo and values <= MOST_VALUES and letters <= MOST_LETTERS:
        one = todo.pop()
        values += 1
        if isinstance(one, Mapping):
            letters += sum(len(str(key)) for key in one)
            todo.extend(one.values())
        elif isinstance(one, (list, tuple)):
            todo.extend(one)
        elif isinstance(one, str):
            letters += len(one)
    return values, letters


def _refuse(where: str, what: str, remedy: str) -> NoReturn:
    raise RequestError(f"the schema{' at ' + where.lstrip('/') if where else ''} {what}; {remedy}")
