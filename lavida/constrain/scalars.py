"""Write the terms of strings, numbers and listed values of JSON Schemas.

Ranges of numbers: decimal digits are compared from the left, shorter ones are smaller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, reduce
from math import isfinite, lcm
from typing import Any, NamedTuple

from lavida.constrain.grammar import (
    ANY,
    ANY_NUMBER,
    DIGIT,
    NOTHING,
    Both,
    Multiple,
    Repeat,
    Term,
    alt,
    chars,
    escaped,
    optional,
    seq,
    text,
)
from lavida.constrain.regex import regex_term
from lavida.errors import RequestError

LONGEST = 256  # characters of a string that has no such minimum: more than a canvas of 64 tokens mostly takes
MOST_MULTIPLE = 1000
WHOLE_DIGITS = 15  # all integers of so many digits are exact in double precision, which readers of JSON may use
DIGITS, PLACES = 9, 6  # of a number with a fraction, before and behind the point

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

_NONZERO = chars("123456789")
_DIGITS = Repeat(DIGIT, 0, None)
_FRACTION = optional(seq(text("."), Repeat(DIGIT, 1, None)))

Schemas = Sequence[Mapping[str, Any]]  # those that one value satisfies together


def string(schemas: Schemas, patterns: Sequence[Term]) -> Term:
    """Return the strings that are valid by all of the schemas, whose patterns have been read. Raises RequestError."""
    least, most = counts(schemas, "minLength", "maxLength")
    parts = [*patterns, *(_format_term(FORMATS[s["format"]]) for s in schemas if s.get("format") in FORMATS)]
    if most is not None:
        most = None if most >= ANY_NUMBER else min(most, max(least, LONGEST))
    return seq(text('"'), escaped(reduce(Both, [*parts, Repeat(ANY, least, most)])), text('"'))


def literal(value: Any) -> Term:
    """Return a value as `json.dumps` writes it, a space behind , and : or not. Raises RequestError."""
    if isinstance(value, dict):
        members = [seq(literal(key), COLON, literal(one)) for key, one in value.items()]
    elif isinstance(value, list):
        members = [literal(one) for one in value]
    else:
        try:
            return text(json.dumps(value, ensure_ascii=False, allow_nan=False))
        except ValueError:
            raise RequestError(f"{value} is no number of JSON; leave it out") from None
    first, last = "{}" if isinstance(value, dict) else "[]"
    return seq(text(first), *(part if i == 0 else seq(COMMA, part) for i, part in enumerate(members)), text(last))


def counts(schemas: Schemas, least: str, most: str) -> tuple[int, int | None]:
    """Return the largest of the minima and the smallest of the maxima (None = none)."""
    highest = [int(schema[most]) for schema in schemas if most in schema]
    return max((int(schema.get(least, 0)) for schema in schemas), default=0), min(highest, default=None)


def number(schemas: Schemas, *, whole: bool) -> Term:
    """Return the numbers that are valid by all of the schemas. Raises RequestError."""
    multiples = [schema["multipleOf"] for schema in schemas if "multipleOf" in schema]
    least = max(_bounds(schemas, "minimum", "exclusiveMinimum"), default=None)
    most = min(
        _bounds(schemas, "maximum", "exclusiveMaximum"), key=lambda end: (end.value, not end.strict), default=None
    )
    if not whole and not multiples:
        return decimal(least, most)
    for multiple in multiples:
        if not isfinite(multiple) or multiple != int(multiple):
            raise RequestError(f"multiples of {multiple} cannot be guaranteed; take a whole number")
    together = lcm(*map(int, multiples))
    if together > MOST_MULTIPLE:
        raise RequestError(f"multiples of {together} take too many states; {MOST_MULTIPLE} is the most")
    return integer(least, most, together)


class Bound(NamedTuple):
    """Hold an end of a range; `strict` leaves the value itself out."""

    value: Decimal
    strict: bool = False


def _bounds(schemas: Schemas, inclusive: str, exclusive: str) -> list[Bound]:
    keys = ((inclusive, False), (exclusive, True))
    given = [(schema[key], strict) for schema in schemas for key, strict in keys if key in schema]
    for value, _ in given:
        if not isfinite(value):
            raise RequestError(f"a bound of {value} is no number of JSON; leave it out")
    return [Bound(Decimal(repr(value)), strict) for value, strict in given]


def integer(least: Bound | None = None, most: Bound | None = None, multiple_of: int = 1) -> Term:
    """Return the integers of a range, without leading zeros, of 15 digits at most unless the range needs more."""
    syntax = _whole(WHOLE_DIGITS, least, most)
    return _signed(syntax if multiple_of == 1 else Both(syntax, Multiple(multiple_of)), least, most)


def decimal(least: Bound | None = None, most: Bound | None = None) -> Term:
    """Return the numbers of a range, without exponent, of 9 digits and 6 places at most unless its ends have more.

    15 digits are what double precision tells apart, so a reader finds a number on the side of the bound it stands on.
    """
    ends = [(_split(bound.value), bound.strict) for bound in (least, most) if bound]
    places = max([PLACES, *(len(behind) for (_, behind), _ in ends)])
    if any(strict and len(before) + places > WHOLE_DIGITS for (before, _), strict in ends):
        raise RequestError("an exclusive bound has more digits than double precision holds; give one of at most 15")
    fraction = optional(seq(text("."), Repeat(DIGIT, 1, places, exact=True)))
    return _signed(seq(_whole(DIGITS, least, most), fraction), least, most)


def _whole(usual: int, *bounds: Bound | None) -> Term:
    digits = max([usual, *(len(_split(bound.value)[0]) for bound in bounds if bound)])
    if digits > 300:
        raise RequestError("a bound of a number has more than 300 digits; make it smaller")
    return alt((text("0"), seq(_NONZERO, Repeat(DIGIT, 0, digits - 1, exact=True))))


def _signed(syntax: Term, least: Bound | None, most: Bound | None) -> Term:
    """Join both halves of a range: magnitudes behind a minus sign are bounded the other way round, and above 0."""
    zero = Decimal(0)
    parts: list[Term] = []
    if most is None or most.value >= 0:
        parts.append(_between(syntax, least if least and least.value >= 0 else Bound(zero), most))
    if least is None or least.value < 0:
        low = Bound(-most.value, most.strict) if most and most.value < 0 else Bound(zero, strict=True)
        high = Bound(-least.value, least.strict) if least else None
        parts.append(seq(text("-"), _between(syntax, low, high)))
    return alt(parts)


def _between(syntax: Term, low: Bound, high: Bound | None) -> Term:
    if low.strict or low.value:
        syntax = Both(syntax, _at_least(low))
    return syntax if high is None else Both(syntax, _at_most(high))


def _at_least(bound: Bound) -> Term:
    """Return digits, with or without a fraction, of no smaller value."""
    whole, places = _split(bound.value)
    more = seq(_DIGITS, _NONZERO, _DIGITS) if bound.strict else _DIGITS
    same = seq(text("." + places), more) if places or bound.strict else _FRACTION
    longer = seq(_NONZERO, Repeat(DIGIT, len(whole), None), _FRACTION)
    return alt((longer, *_differing(whole, places, larger=True), seq(text(whole), same)))


def _at_most(bound: Bound) -> Term:
    """Return digits, with or without a fraction, of no larger value."""
    whole, places = _split(bound.value)
    zeros = Repeat(chars("0"), 0, None)
    same = seq(text("." + places), zeros) if places else optional(seq(text("."), chars("0"), zeros))
    ends = [text("." * (i > 0) + places[:i]) for i in range(len(places))]  # fewer places; no zero ends `places`
    if not bound.strict:
        ends.append(same)
    shorter = seq(Repeat(DIGIT, 1, len(whole) - 1, exact=True), _FRACTION) if len(whole) > 1 else NOTHING
    return alt((shorter, *_differing(whole, places, larger=False), seq(text(whole), alt(ends))))


def _differing(whole: str, places: str, *, larger: bool) -> Iterator[Term]:
    """Yield digits that agree with a number up to a place and have a larger or smaller digit there."""
    for i, digit in enumerate(whole + places):
        others = "0123456789"[int(digit) + 1 :] if larger else "0123456789"[: int(digit)]
        rest = len(whole) - i - 1  # digits before the point; behind it there may be any number
        agreeing = whole[:i] if rest >= 0 else f"{whole}.{places[: i - len(whole)]}"
        behind = seq(Repeat(DIGIT, rest, rest), _FRACTION) if rest >= 0 else _DIGITS
        if others:
            yield seq(text(agreeing), chars(others), behind)


def _split(value: Decimal) -> tuple[str, str]:
    """Return the digits before and behind the point, without zeros at the end and without the sign."""
    if not value.is_finite() or abs(value.adjusted()) > 400:
        raise RequestError("a bound of a number is out of range; give one of at most 300 digits")
    whole, _, places = f"{abs(value):f}".partition(".")
    return whole.lstrip("0") or "0", places.rstrip("0")
