"""Write ranges of numbers as terms: decimal digits are compared from the left, shorter ones are smaller."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from lavida.constrain.grammar import (
    DIGIT,
    EMPTY,
    NOTHING,
    Alt,
    Both,
    Multiple,
    Repeat,
    Seq,
    Term,
    alt,
    chars,
    optional,
    seq,
    text,
)
from lavida.errors import RequestError

WHOLE_DIGITS = 15  # all integers of so many digits are exact in double precision, which readers of JSON may use
DIGITS, PLACES = 9, 6  # of a number with a fraction, before and behind the point

_NONZERO = chars("123456789")
_DIGITS = Repeat(DIGIT, 0, None)
_FRACTION = optional(seq(text("."), Repeat(DIGIT, 1, None)))


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Hold an end of a range; `strict` leaves the value itself out."""

    value: Decimal
    strict: bool = False


def integer(least: Bound | None = None, most: Bound | None = None, multiple_of: int = 1) -> Term:
    """Return the integers of a range, without leading zeros, of 15 digits at most unless the range needs more."""
    digits = _digits(WHOLE_DIGITS, least, most)
    syntax: Term = alt((text("0"), seq(_NONZERO, Repeat(DIGIT, 0, digits - 1, exact=True))))
    return _signed(syntax if multiple_of == 1 else Both(syntax, Multiple(multiple_of)), least, most)


def decimal(least: Bound | None = None, most: Bound | None = None) -> Term:
    """Return the numbers of a range, without exponent, of 9 digits and 6 places at most unless its ends have more.

    15 digits are what double precision tells apart, so a reader finds a number on the side of the bound it stands on.
    """
    places = max([PLACES, *(_places(bound.value) for bound in (least, most) if bound)])
    if any(bound and bound.strict and len(_split(bound.value)[0]) + places > WHOLE_DIGITS for bound in (least, most)):
        raise RequestError("an exclusive bound has more digits than double precision holds; give one of at most 15")
    whole = alt((text("0"), seq(_NONZERO, Repeat(DIGIT, 0, _digits(DIGITS, least, most) - 1, exact=True))))
    return _signed(seq(whole, optional(seq(text("."), Repeat(DIGIT, 1, places, exact=True)))), least, most)


def _digits(usual: int, *bounds: Bound | None) -> int:
    digits = max([usual, *(len(_split(bound.value)[0]) for bound in bounds if bound)])
    if digits > 300:
        raise RequestError("a bound of a number has more than 300 digits; make it smaller")
    return digits


def _signed(syntax: Term, least: Bound | None, most: Bound | None) -> Term:
    """Join both halves of a range: magnitudes behind a minus sign are bounded the other way round, and above 0."""
    zero = Bound(value=Decimal(0))
    parts: list[Term] = []
    if most is None or most.value >= 0:
        low = least if least and least.value >= 0 else zero
        parts.append(_between(syntax, low, most))
    if least is None or least.value < 0:
        below = most if most and most.value < 0 else None
        low = Bound(value=-below.value, strict=below.strict) if below else Bound(value=Decimal(0), strict=True)
        high = Bound(value=-least.value, strict=least.strict) if least else None
        parts.append(seq(text("-"), _between(syntax, low, high)))
    return alt(parts)


def _between(syntax: Term, low: Bound, high: Bound | None) -> Term:
    if low.strict or low.value:
        syntax = Both(syntax, _at_least(low))
    return syntax if high is None else Both(syntax, _at_most(high))


def _at_least(bound: Bound) -> Term:
    """Return digits, with or without a fraction, of no smaller value."""
    whole, places = _split(bound.value)
    more = Repeat(DIGIT, 0, None) if not bound.strict else seq(_DIGITS, _NONZERO, _DIGITS)
    if places:
        same = seq(text("." + places), more)
    else:
        same = _FRACTION if not bound.strict else seq(text("."), more)
    return alt(
        (
            seq(_NONZERO, Repeat(DIGIT, len(whole), None), _FRACTION),
            *_differing(whole, "", _above, _FRACTION),
            seq(text(whole), Alt((*_differing(places, ".", _above, EMPTY), same))),
        )
    )


def _at_most(bound: Bound) -> Term:
    """Return digits, with or without a fraction, of no larger value."""
    whole, places = _split(bound.value)
    zeros: Term = optional(seq(text("."), Repeat(chars("0"), 1, None)))
    same = seq(text("." + places), Repeat(chars("0"), 0, None)) if places else zeros
    shorter = (text("." * (i > 0) + places[:i]) for i in range(len(places)))  # no zero ends `places`
    return alt(
        (
            seq(Repeat(DIGIT, 1, len(whole) - 1, exact=True), _FRACTION) if len(whole) > 1 else NOTHING,
            *_differing(whole, "", _below, _FRACTION),
            seq(
                text(whole), Alt((*_differing(places, ".", _below, EMPTY), *shorter, NOTHING if bound.strict else same))
            ),
        )
    )


def _differing(digits: str, before: str, other: dict[str, str], after: Term) -> list[Term]:
    """Return digits that agree with `digits` up to a place and differ there; as many, or more in a fraction."""
    parts: list[Term] = []
    for i, digit in enumerate(digits):
        rest = len(digits) - i - 1
        behind = _DIGITS if before else Repeat(DIGIT, rest, rest)
        if other[digit]:
            parts.append(Seq((text(before + digits[:i]), chars(other[digit]), behind, after)))
    return parts


_above = {digit: "0123456789"[i + 1 :] for i, digit in enumerate("0123456789")}
_below = {digit: "0123456789"[:i] for i, digit in enumerate("0123456789")}


def _split(value: Decimal) -> tuple[str, str]:
    """Return the digits before and behind the point, without zeros at the end and without the sign."""
    if not value.is_finite() or abs(value.adjusted()) > 400:
        raise RequestError("a bound of a number is out of range; give one of at most 300 digits")
    whole, _, places = f"{abs(value):f}".partition(".")
    return whole.lstrip("0") or "0", places.rstrip("0")


def _places(value: Decimal) -> int:
    return len(_split(value)[1])
