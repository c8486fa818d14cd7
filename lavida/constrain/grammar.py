"""Describe languages as terms: what regexes, schemas and choices are before they become automata.

A term is a set of texts, character by character; `lavida.constrain.dfa` compiles it to bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from lavida.errors import RequestError

LAST = 0x10FFFF
ANY_NUMBER = 1_000_000  # a part that may be repeated so often may be repeated any number of times: no canvas holds more
SURROGATES = (0xD800, 0xDFFF)  # code points that no text holds

Ranges = tuple[tuple[int, int], ...]  # first and last code point of each


@dataclass(frozen=True)
class Chars:
    """Match one character of a set; `ranges` are sorted and do not touch."""

    ranges: Ranges

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> Chars:
        """Build the set from ranges in any order, which may overlap."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    def __or__(self, other: Chars) -> Chars:
        return Chars.of(self.ranges + other.ranges)

    def __invert__(self) -> Chars:
        """Return the set of all other characters."""
        taken = Chars.of((*self.ranges, SURROGATES))
        edges = [-1, *(edge for pair in taken.ranges for edge in pair), LAST + 1]
        gaps = zip(edges[::2], edges[1::2])
        return Chars(tuple((low + 1, high - 1) for low, high in gaps if low + 1 < high))

    def __and__(self, other: Chars) -> Chars:
        return ~(~self | ~other)

    def __contains__(self, char: str) -> bool:
        return any(low <= ord(char) <= high for low, high in self.ranges)


@dataclass(frozen=True)
class Seq:
    """Match the parts one after the other; without parts, the empty text."""

    parts: tuple[Term, ...]


@dataclass(frozen=True)
class Alt:
    """Match any one of the parts; without parts, no text at all."""

    parts: tuple[Term, ...]


@dataclass(frozen=True)
class Repeat:
    """Match the part `least` to `most` times (None = any number); `exact` counts are never lowered by `capped`."""

    part: Term
    least: int
    most: int | None
    exact: bool = False


@dataclass(frozen=True)
class Both:
    """Match the texts that are in both languages."""

    left: Term
    right: Term


@dataclass(frozen=True)
class Listed:
    """Match parts in their order with a separator between them; parts that are not `needed` may be missing.

    `least` and `most` bound how many parts are present.
    """

    parts: tuple[Term, ...]
    needed: tuple[bool, ...]
    between: Term
    least: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Multiple:
    """Match the decimal digits of the multiples of `of`."""

    of: int


class Assertion(IntEnum):
    """Name what a `Mark` asserts about its position."""

    TEXT_START = 0
    TEXT_END = 1
    LAST_LINE_END = 2  # the end, or before a line break that is the last character
    LINE_START = 3
    LINE_END = 4
    EDGE = 5  # of a word; next to a character beyond ASCII nothing is asserted, hence never matched
    NO_EDGE = 6
    ASCII_EDGE = 7  # of a word of ASCII letters
    ASCII_NO_EDGE = 8


@dataclass(frozen=True)
class Mark:
    """Match the empty text where an assertion holds; stands inside an `Anchored`."""

    asserts: Assertion


@dataclass(frozen=True)
class Anchored:
    """Match the texts of a part with marks; the part's start and end are those of the text.

    `escaped` says that the characters are written as inside a JSON string.
    """

    part: Term
    escaped: bool = False


Term = Chars | Seq | Alt | Repeat | Both | Listed | Multiple | Mark | Anchored

ANY = ~Chars(())  # any character
DIGIT = Chars(((48, 57),))
EMPTY = Seq(())
NOTHING = Alt(())


def chars(these: str) -> Chars:
    """Match one of the characters of a string."""
    return Chars.of((ord(c), ord(c)) for c in these)


def text(literal: str) -> Term:
    """Match exactly this text. Raises RequestError for lone surrogates, which UTF-8 cannot write."""
    if not literal.isascii() and any(SURROGATES[0] <= ord(c) <= SURROGATES[1] for c in literal):
        raise RequestError(f"{literal[:40]!a} is not valid Unicode (it holds a lone surrogate); write it in UTF-8")
    return Seq(tuple(Chars(((ord(c), ord(c)),)) for c in literal))


def seq(*parts: Term) -> Term:
    """Match one part after the other."""
    return Seq(parts)


def alt(parts: Iterable[Term]) -> Term:
    """Match any one of the parts."""
    return Alt(tuple(parts))


def optional(part: Term) -> Term:
    """Match the part or nothing."""
    return Repeat(part, 0, 1)


_ESCAPES = {'"': '"', "\\": "\\", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}  # behind a backslash
_PLAIN = ~(Chars(((0, 31),)) | chars('"\\'))


def escaped(term: Term) -> Term:
    """Return the texts as written inside a JSON string, each in one way; other control characters are left out."""
    match term:
        case Chars():
            letters = "".join(letter for char, letter in _ESCAPES.items() if char in term)
            return Alt((term & _PLAIN, seq(chars("\\"), chars(letters)))) if letters else term & _PLAIN
        case Anchored(part):
            return Anchored(escaped(part), escaped=True)
    return _mapped(term, escaped)


def capped(term: Term, most: int) -> Term:
    """Return the term without the texts in which something is repeated more than `most` times and need not be."""
    if isinstance(term, Repeat) and term.most is not None and term.most < ANY_NUMBER and not term.exact:
        term = replace(term, most=min(term.most, max(term.least, most)))
    return _mapped(term, lambda part: capped(part, most))


def _mapped(term: Term, change: Callable[[Term], Term]) -> Term:
    """Return the term with each part changed."""
    match term:
        case Seq(parts) | Alt(parts):
            return type(term)(tuple(map(change, parts)))
        case Repeat(part) | Anchored(part):
            return replace(term, part=change(part))
        case Both(left, right):
            return Both(change(left), change(right))
        case Listed(parts, _, between):
            return replace(term, parts=tuple(map(change, parts)), between=change(between))
    return term


_PHRASE = "a small red house by the sea"
_LETTERS, _DIGITS, _PARTS, _LONGEST = 20, 4, 3, 4000  # typical counts; the longest text that is put together


def typical_text(term: Term) -> str:
    """Return a text of an ordinary length: a few items of a list, 20 letters of a string, and all that is optional.

    It shows how much room such a text takes; it need not be in the language.
    """
    found = ""
    match term:
        case Chars():
            found = next((c for c in "e0 " if c in term), "".join(chr(low) for low, _ in term.ranges[:1]))
        case Seq(parts):
            found = "".join(map(typical_text, parts))
        case Alt(parts):
            found = max(map(typical_text, parts), key=len, default="")
        case Repeat(Chars() as letters, least, most) | Repeat(Alt((Chars() as letters, *_)), least, most):
            phrase = "".join(c for c in _PHRASE if c in letters) or typical_text(letters)
            count = _count(_LETTERS if "e" in letters else _DIGITS, least, most)
            found = (phrase * count)[:count]
        case Repeat(part, least, most):
            found = typical_text(part) * _count(_PARTS, least, most)
        case Anchored(part) | Both(part, Repeat(_, 0, None)):
            found = typical_text(part)
        case Both(left, right):
            found = min(typical_text(left), typical_text(right), key=len)
        case Listed(parts, _, between):
            found = typical_text(between).join(map(typical_text, parts))
        case Multiple():
            found = "0" * 20  # as long as any other bound
    return found[:_LONGEST]


def _count(usual: int, least: int, most: int | None) -> int:
    return min(max(least, usual if most is None else min(usual, most)), _LONGEST)
