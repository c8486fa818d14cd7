"""Languages as terms: what regexes, schemas and templates are before they become automata.

A term describes a set of texts, character by character; `lavida.constrain.dfa` reads it as bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)  # code points that no text holds

Ranges = tuple[tuple[int, int], ...]  # first and last code point of each


@dataclass(frozen=True)
class Chars:
    """One character of a set; `ranges` are sorted and apart from each other."""

    ranges: Ranges

    def __or__(self, other: Chars) -> Chars:
        merged: list[tuple[int, int]] = []
        for low, high in sorted(self.ranges + other.ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return Chars(tuple(merged))

    def __invert__(self) -> Chars:
        """Every other character."""
        taken = Chars(self.ranges) | Chars((SURROGATES,))
        edges = [-1, *(edge for pair in taken.ranges for edge in pair), LAST + 1]
        gaps = zip(edges[::2], edges[1::2])
        return Chars(tuple((low + 1, high - 1) for low, high in gaps if low + 1 < high))

    def __and__(self, other: Chars) -> Chars:
        return ~(~self | ~other)

    def __contains__(self, char: str) -> bool:
        return any(low <= ord(char) <= high for low, high in self.ranges)


@dataclass(frozen=True)
class Seq:
    """One part after the other; without parts, the empty text."""

    parts: tuple[Term, ...]


@dataclass(frozen=True)
class Alt:
    """Any one of the parts; without parts, no text at all."""

    parts: tuple[Term, ...]


@dataclass(frozen=True)
class Repeat:
    """`least` to `most` times the part; None = any number."""

    part: Term
    least: int
    most: int | None


@dataclass(frozen=True)
class Both:
    """The texts that are in both languages."""

    left: Term
    right: Term


@dataclass(frozen=True)
class Listed:
    """Parts in their order with a separator between them; those that are not `needed` may be left out."""

    parts: tuple[Term, ...]
    needed: tuple[bool, ...]
    between: Term


@dataclass(frozen=True)
class Multiple:
    """Decimal digits of the multiples of `of`."""

    of: int


Term = Chars | Seq | Alt | Repeat | Both | Listed | Multiple

ANY = ~Chars(())  # any character
DIGIT = Chars(((48, 57),))
EMPTY = Seq(())
NOTHING = Alt(())


def chars(these: str) -> Chars:
    """One of the characters of a string."""
    return reduce(Chars.__or__, (Chars(((ord(c), ord(c)),)) for c in these), Chars(()))


def text(literal: str) -> Term:
    """Exactly this text."""
    return Seq(tuple(Chars(((ord(c), ord(c)),)) for c in literal))


def seq(*parts: Term) -> Term:
    """One part after the other."""
    return Seq(parts)


def alt(parts: Iterable[Term]) -> Term:
    """Any one of the parts."""
    return Alt(tuple(parts))


def optional(part: Term) -> Term:
    """The part or nothing."""
    return Repeat(part, 0, 1)


_ESCAPES = {'"': '"', "\\": "\\", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}  # behind a backslash
_PLAIN = ~(Chars(((0, 31),)) | chars('"\\'))


def escaped(term: Term) -> Term:
    """The same texts as they are written inside a JSON string, each in one way; rare control characters are out."""
    match term:
        case Chars():
            letters = "".join(letter for char, letter in _ESCAPES.items() if char in term)
            return Alt((term & _PLAIN, seq(chars("\\"), chars(letters)))) if letters else term & _PLAIN
        case Seq(parts):
            return Seq(tuple(escaped(part) for part in parts))
        case Alt(parts):
            return Alt(tuple(escaped(part) for part in parts))
        case Repeat(part, least, most):
            return Repeat(escaped(part), least, most)
        case Both(left, right):
            return Both(escaped(left), escaped(right))
    return term
