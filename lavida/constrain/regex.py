"""Regular expressions of Python's `re` as terms.

A text of the term is matched by Python itself (`re.fullmatch`). The reverse holds but for `\\d`, `\\w`, what is negated
of them, and other cases of letters: these speak of ASCII, as the tables of all scripts would take too many states.
"""

from __future__ import annotations

import re
import warnings
from re import _constants as op
from re import _parser as parser
from typing import Any

from lavida.constrain.grammar import ANY, EMPTY, Alt, Chars, Repeat, Seq, Term, chars
from lavida.errors import RequestError

LONGEST = 50_000  # characters of a pattern
EVERYTHING = Repeat(ANY, 0, None)

_ASCII = Chars(((0, 127),))
_DIGITS = Chars(((48, 57),))
_LETTERS = Chars(((48, 57), (65, 90), (95, 95), (97, 122)))
_SPACES = chars(" \t\n\r\f\v")
_ALL_SPACES = chars("".join(c for c in map(chr, range(0x3001)) if c.isspace()))
# What surely belongs to a category in any script, and what may.
_CATEGORIES = {
    op.CATEGORY_DIGIT: (_DIGITS, _DIGITS | ~_ASCII),
    op.CATEGORY_WORD: (_LETTERS, _LETTERS | ~_ASCII),
    op.CATEGORY_SPACE: (_SPACES, _ALL_SPACES),
}
_NEGATED = {
    op.CATEGORY_NOT_DIGIT: op.CATEGORY_DIGIT,
    op.CATEGORY_NOT_WORD: op.CATEGORY_WORD,
    op.CATEGORY_NOT_SPACE: op.CATEGORY_SPACE,
}
_UNKNOWN = {
    op.ASSERT: "looking ahead or behind",
    op.ASSERT_NOT: "looking ahead or behind",
    op.GROUPREF: "a reference to a group",
    op.GROUPREF_EXISTS: "a reference to a group",
    op.POSSESSIVE_REPEAT: "a possessive repeat",
    op.ATOMIC_GROUP: "an atomic group",
    op.AT: r"^, $ or \b in the middle",
}
_FLAGS = re.IGNORECASE | re.DOTALL | re.VERBOSE | re.UNICODE


def regex_term(pattern: str, *, search: bool = False) -> Term:
    """The texts that `re.fullmatch` accepts, or with `search` those in which `re.search` finds something.

    Raises RequestError for what is malformed or no regular language.
    """
    if len(pattern) > LONGEST:
        raise RequestError(f"the regex has {len(pattern)} characters; {LONGEST} are the most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parser.parse(pattern)
        return _whole(list(tree), tree.state.flags, search)
    except (re.error, OverflowError) as error:
        raise RequestError(f"the regex is malformed: {error}; mend it") from None
    except RecursionError:
        raise RequestError("the regex is nested too deeply; write it flatter") from None


def _whole(tree: list[Any], flags: int, search: bool) -> Term:
    """The pattern, whose alternatives may begin with ^ and end with $."""
    if len(tree) == 1 and tree[0][0] is op.BRANCH:
        return Alt(tuple(_whole(list(one), flags, search) for one in tree[0][1][1]))
    if flags & ~_FLAGS:
        raise RequestError("the regex sets flags other than i, s and x; leave them out")
    first = bool(tree) and tree[0] in ((op.AT, op.AT_BEGINNING), (op.AT, op.AT_BEGINNING_STRING))
    last = len(tree) > first and tree[-1] in ((op.AT, op.AT_END), (op.AT, op.AT_END_STRING))
    body = _sequence(tree[int(first) : len(tree) - int(last)], flags)
    before, after = (EVERYTHING if search and not anchored else EMPTY for anchored in (first, last))
    return Seq((before, body, after))


def _sequence(items: Any, flags: int) -> Term:
    return Seq(tuple(_item(kind, value, flags) for kind, value in items))


def _item(kind: Any, value: Any, flags: int) -> Term:
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, body = value
        return Repeat(_sequence(body, flags), int(least), None if most is op.MAXREPEAT else int(most))
    if kind is op.SUBPATTERN:
        _, more, less, body = value
        return _sequence(body, (flags | more) & ~less)
    if kind is op.BRANCH:
        return Alt(tuple(_sequence(one, flags) for one in value[1]))
    if kind in _UNKNOWN:
        raise RequestError(f"the regex uses {_UNKNOWN[kind]}, which no automaton can do; write it without")
    if kind is op.ANY:
        return ANY if flags & re.DOTALL else ~chars("\n")
    if kind is op.IN:
        return _set(value, flags)
    if kind is op.NOT_LITERAL:
        return _set([(op.NEGATE, None), (op.LITERAL, value)], flags)
    return _set([(kind, value)], flags)


def _set(items: list[tuple[Any, Any]], flags: int) -> Chars:
    """The characters that surely belong to a set: of a negated one, those that cannot belong to what it names."""
    negated = items[0][0] is op.NEGATE
    surely = maybe = Chars(())
    for kind, value in items[int(negated) :]:
        inner, outer = _members(kind, value, flags)
        surely, maybe = surely | inner, maybe | outer
    return ~maybe if negated else surely & ANY


def _members(kind: Any, value: Any, flags: int) -> tuple[Chars, Chars]:
    """What surely is and what may be among the characters of one part of a set."""
    if kind is op.CATEGORY:
        if value in _NEGATED:
            inner, outer = _CATEGORIES[_NEGATED[value]]
            return ~outer, ~inner
        return _CATEGORIES[value]
    low, high = value if kind is op.RANGE else (value, value)
    named = Chars(((low, high),))
    if not flags & re.IGNORECASE:
        return named, named
    return _both_cases(named)


def _both_cases(named: Chars) -> tuple[Chars, Chars]:
    """With the other case of ASCII letters; what stands beyond ASCII may have any other case there."""
    ascii_part = "".join(map(chr, range(128))) if named & _ASCII == _ASCII else _listed(named & _ASCII)
    inner = named | chars(ascii_part.upper()) | chars(ascii_part.lower())
    return inner, inner | ~_ASCII


def _listed(named: Chars) -> str:
    return "".join(chr(c) for low, high in named.ranges for c in range(low, high + 1))
