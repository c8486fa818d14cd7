r"""Read regular expressions of Python's `re` as terms.

Every text of the term is matched by Python itself (`re.fullmatch`). The reverse holds but for `\d`, `\w`, `\b` and what
is negated of them, and other cases of letters: beyond ASCII these would need the tables of all scripts, which take too
many states, so what they would match there is left out.
"""

from __future__ import annotations

import re
import warnings
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from lavida.constrain.grammar import (
    ANY,
    EMPTY,
    NOTHING,
    Alt,
    Anchored,
    Assertion,
    Chars,
    Mark,
    Repeat,
    Seq,
    Term,
    chars,
)
from lavida.errors import RequestError

LONGEST = 50_000  # characters of a pattern
EVERYTHING = Repeat(ANY, 0, None)

_ASCII = Chars(((0, 127),))
_DIGITS = Chars(((48, 57),))
_LETTERS = Chars(((48, 57), (65, 90), (95, 95), (97, 122)))
_SPACES = chars(" \t\n\r\f\v")
_ALL_SPACES = chars("".join(c for c in map(chr, range(0x3001)) if c.isspace()))
_FOLDED = chars("iIkKsS")  # where case is ignored, letters beyond ASCII equal these
# For each category what surely belongs to it in any script, and what may.
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
}
_STARTS = ((op.AT, op.AT_BEGINNING), (op.AT, op.AT_BEGINNING_STRING))
_ENDS = ((op.AT, op.AT_END), (op.AT, op.AT_END_STRING))


def regex_term(pattern: str, *, search: bool = False) -> Term:
    r"""Return the texts that `re.fullmatch` accepts, or with `search` those in which `re.search` finds something.

    With `search`, $ is the end of the text, as in JSON Schema, and not also before a last line break.

    Raises:
        RequestError: The pattern is malformed or describes no regular language.
    """
    if len(pattern) > LONGEST:
        raise RequestError(f"the regex has {len(pattern)} characters; {LONGEST} are the most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parser.parse(pattern)
        return _Reader(search).whole(list(tree), tree.state.flags)
    except (re.error, OverflowError) as error:
        raise RequestError(f"the regex is malformed: {error}; mend it") from None
    except RecursionError:
        raise RequestError("the regex is nested too deeply; write it flatter") from None


class _Reader:
    """Read the tree of one pattern."""

    def __init__(self, search: bool) -> None:
        self._search = search
        self._marked = False  # whether an anchor was met that needs a mark

    def whole(self, tree: list[Any], flags: int) -> Term:
        """Read the pattern. An anchor at either end needs no mark, unless it is one of lines."""
        first = last = False
        if not flags & re.MULTILINE:
            first = bool(tree) and tree[0] in _STARTS
            last = len(tree) > first and tree[-1] in _ENDS
        body = self._sequence(tree[int(first) : len(tree) - int(last)], flags)
        before, after = (EVERYTHING if self._search and not anchored else EMPTY for anchored in (first, last))
        whole = Seq((before, body, after))
        return Anchored(whole) if self._marked else whole

    def _sequence(self, items: Any, flags: int) -> Term:
        return Seq(tuple(self._item(kind, value, flags) for kind, value in items))

    def _item(self, kind: Any, value: Any, flags: int) -> Term:
        if kind in _UNKNOWN:
            raise RequestError(f"the regex uses {_UNKNOWN[kind]}, which is not supported; write it without")
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, body = value
            return Repeat(self._sequence(body, flags), int(least), None if most is op.MAXREPEAT else int(most))
        if kind is op.SUBPATTERN:
            _, more, less, body = value
            return self._sequence(body, (flags | more) & ~less)
        if kind is op.BRANCH:
            return Alt(tuple(self._sequence(one, flags) for one in value[1]))
        if kind is op.AT:
            self._marked = True
            return Mark(self._assertion(value, flags))
        if kind is op.FAILURE:
            return NOTHING
        if kind is op.ANY:
            return ANY if flags & re.DOTALL else ~chars("\n")
        if kind is op.NOT_LITERAL:
            return _set([(op.NEGATE, None), (op.LITERAL, value)], flags)
        return _set(value if kind is op.IN else [(kind, value)], flags)

    def _assertion(self, at: Any, flags: int) -> Assertion:
        lines, ascii_only = bool(flags & re.MULTILINE), bool(flags & re.ASCII)
        end = Assertion.TEXT_END if self._search else Assertion.LAST_LINE_END
        return {
            op.AT_BEGINNING: Assertion.LINE_START if lines else Assertion.TEXT_START,
            op.AT_BEGINNING_STRING: Assertion.TEXT_START,
            op.AT_END: Assertion.LINE_END if lines else end,
            op.AT_END_STRING: Assertion.TEXT_END,
            op.AT_BOUNDARY: Assertion.ASCII_EDGE if ascii_only else Assertion.EDGE,
            op.AT_NON_BOUNDARY: Assertion.ASCII_NO_EDGE if ascii_only else Assertion.NO_EDGE,
        }[at]


def _set(items: list[tuple[Any, Any]], flags: int) -> Chars:
    """Return the characters that surely belong to a set: of a negated one, those that cannot be among its members."""
    negated = items[0][0] is op.NEGATE
    members = [_members(kind, value, flags) for kind, value in items[int(negated) :]]
    ranges = Chars.of(pair for surely, maybe in members for pair in (maybe if negated else surely).ranges)
    return ~ranges if negated else ranges & ANY


def _members(kind: Any, value: Any, flags: int) -> tuple[Chars, Chars]:
    """Return what surely is and what may be among the characters of one part of a set."""
    if kind is op.CATEGORY:
        surely, maybe = _CATEGORIES[_NEGATED.get(value, value)]
        maybe = surely if flags & re.ASCII else maybe
        return (~maybe, ~surely) if value in _NEGATED else (surely, maybe)
    named = Chars((value if kind is op.RANGE else (value, value),))
    if not flags & re.IGNORECASE:
        return named, named
    letters = "".join(chr(c) for low, high in (named & _ASCII).ranges for c in range(low, high + 1))
    surely = named | chars(letters.upper() + letters.lower())
    return surely, surely | ~_ASCII | (_FOLDED if (named & ~_ASCII).ranges else surely)  # beyond ASCII: any other case
