"""Write the terms of strings, numbers and listed values of JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from math import isfinite, lcm
from typing import Any

from lavida.constrain import numbers
from lavida.constrain.grammar import ANY, ANY_NUMBER, Both, Placed, Repeat, Seq, Term, escaped, optional, seq, text
from lavida.constrain.regex import regex_term
from lavida.errors import RequestError

LONGEST = 256  # characters of a string that has no such minimum: more than a canvas of 64 tokens mostly takes
MOST_MULTIPLE = 1000

_DATE = (  # the 29th of February is left out
    r"(19|20)[0-9]{2}-("
    r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# Each a regular subset of what its standard allows; any other format is an annotation.
FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "ipv4": rf"{_BYTE}(\.{_BYTE}){{3}}",
    "email": r"[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*@[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*(\.[a-zA-Z0-9]+)+",
}
_format_term = cache(regex_term)

SPACE = optional(text(" "))
COMMA, COLON = seq(text(","), SPACE), seq(text(":"), SPACE)

Schemas = Sequence[tuple[Mapping[str, Any], str]]  # those that one value satisfies together, and where each stands


def string(schemas: Schemas) -> Term:
    """Return the strings that are valid by all of the schemas. Raises RequestError."""
    least, most = counts([schema for schema, _ in schemas], "minLength", "maxLength")
    parts: list[Term] = []
    for schema, where in schemas:
        if "pattern" in schema:
            place = f"the pattern of the schema{f' at {where}' if where else ''}"
            parts.append(Placed(regex_term(schema["pattern"], search=True), place))
        if schema.get("format") in FORMATS:
            parts.append(_format_term(FORMATS[schema["format"]]))
    if most is not None:
        most = None if most >= ANY_NUMBER else min(most, max(least, LONGEST))
    if not parts or least or most is not None:
        parts.append(Repeat(ANY, least, most))
    whole = parts[0]
    for part in parts[1:]:
        whole = Both(whole, part)
    return seq(text('"'), escaped(whole), text('"'))


def number(schemas: Schemas, *, whole: bool) -> Term:
    """Return the numbers that are valid by all of the schemas. Raises RequestError."""
    multiples = [schema["multipleOf"] for schema, _ in schemas if "multipleOf" in schema]
    least, most = _bounds([schema for schema, _ in schemas])
    if not whole and not multiples:
        return numbers.decimal(least, most)
    for multiple in multiples:
        if not isfinite(multiple) or multiple != int(multiple):
            raise RequestError(f"multiples of {multiple} cannot be guaranteed; take a whole number")
    together = lcm(*map(int, multiples))
    if together > MOST_MULTIPLE:
        raise RequestError(f"multiples of {together} take too many states; {MOST_MULTIPLE} is the most")
    return numbers.integer(least, most, multiple_of=together)


def literal(value: Any) -> Term:
    """Return a value as `json.dumps` writes it, a space behind , and : or not. Raises RequestError."""
    if isinstance(value, dict):
        return seq(
            text("{"), _joined([seq(literal(key), COLON, literal(one)) for key, one in value.items()]), text("}")
        )
    if isinstance(value, list):
        return seq(text("["), _joined([literal(one) for one in value]), text("]"))
    try:
        return text(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError:
        raise RequestError(f"{value} is no number of JSON; leave it out") from None


def _joined(parts: list[Term]) -> Term:
    return Seq(tuple(part if i == 0 else seq(COMMA, part) for i, part in enumerate(parts)))


def counts(schemas: Sequence[Mapping[str, Any]], least: str, most: str) -> tuple[int, int | None]:
    """Return the largest of the minima and the smallest of the maxima (None = none)."""
    highest = [int(schema[most]) for schema in schemas if most in schema]
    return max((int(schema.get(least, 0)) for schema in schemas), default=0), min(highest, default=None)


def _bounds(schemas: Sequence[Mapping[str, Any]]) -> tuple[numbers.Bound | None, numbers.Bound | None]:
    """Return the narrowest of the inclusive and the exclusive ends on each side."""

    def ends(name: str) -> list[numbers.Bound]:
        keys = ((name, False), (f"exclusive{name.capitalize()}", True))
        given = [(schema[key], strict) for schema in schemas for key, strict in keys if key in schema]
        for value, _ in given:
            if not isfinite(value):
                raise RequestError(f"a bound of {value} is no number of JSON; leave it out")
        return [numbers.Bound(value=Decimal(repr(value)), strict=strict) for value, strict in given]

    least = max(ends("minimum"), key=lambda end: (end.value, end.strict), default=None)
    most = min(ends("maximum"), key=lambda end: (end.value, not end.strict), default=None)
    return least, most
