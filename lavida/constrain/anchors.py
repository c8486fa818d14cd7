r"""Tell where ^, $, \b and their like hold: an automaton over text in which they stand as marks.

A regex with anchors is compiled with each anchor as a byte that UTF-8 does not use. Intersected with the automaton of
this module, which checks every mark against the characters around it, and with the marks then read as nothing, it
accepts what the regex matches.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from lavida.constrain.grammar import Assertion
from lavida.constrain.nfa import Array

FIRST_MARK = 0xF5  # no byte of UTF-8 is larger


class _Before(IntEnum):
    """Name the character before a position."""

    START = 0  # none
    WORD = 1  # a letter, digit or underscore of ASCII
    BREAK = 2
    ASCII = 3  # any other character of ASCII
    BEYOND = 4


# What may come behind a position, as bits.
_END, _WORD, _BREAK, _LAST_BREAK, _ASCII, _BEYOND = (1 << i for i in range(6))
_ANYTHING = (1 << 6) - 1
_NO_WORD = _END | _BREAK | _LAST_BREAK | _ASCII

_State = tuple[_Before, int, bool]  # the character before, what may come behind, whether a backslash was read


_ENDS = {
    Assertion.TEXT_END: _END,
    Assertion.LAST_LINE_END: _END | _LAST_BREAK,
    Assertion.LINE_END: _END | _BREAK | _LAST_BREAK,
}


def _holds(mark: Assertion, before: _Before) -> int:
    """Return what may come behind a mark."""
    if mark in _ENDS:
        return _ENDS[mark]
    if mark in (Assertion.TEXT_START, Assertion.LINE_START):
        line_start = before is _Before.BREAK and mark is Assertion.LINE_START
        return _ANYTHING if before is _Before.START or line_start else 0
    ascii_only = mark in (Assertion.ASCII_EDGE, Assertion.ASCII_NO_EDGE)
    if before is _Before.BEYOND and not ascii_only:
        return 0  # it may be a letter or not
    no_word = _NO_WORD | (_BEYOND if ascii_only else 0)
    if mark in (Assertion.EDGE, Assertion.ASCII_EDGE):
        return no_word if before is _Before.WORD else _WORD
    if before is _Before.START:
        no_word &= ~_END  # Python versions differ about \B in the empty text
    return _WORD if before is _Before.WORD else no_word


def _after(state: _State, byte: int, escaped: bool) -> _State | None:
    """Return the state after a byte, None if there is none."""
    before, behind, backslash = state
    if byte >= FIRST_MARK:
        number = byte - FIRST_MARK
        behind &= _holds(Assertion(number), before) if number < len(Assertion) and not backslash else 0
        return (before, behind, False) if behind else None
    char = chr(byte)
    if escaped and char == "\\" and not backslash:
        return before, behind, True
    if 0x80 <= byte < 0xC0:  # goes on with the character before
        return state if before is _Before.BEYOND and behind == _ANYTHING else None
    if byte >= 0xC0:
        return (_Before.BEYOND, _ANYTHING, False) if behind & _BEYOND else None
    if char == ("n" if backslash else "\n"):
        after, needed = _Before.BREAK, _BREAK if behind & _BREAK else _LAST_BREAK
    elif not backslash and (char.isalnum() or char == "_"):
        after, needed = _Before.WORD, _WORD
    else:
        after, needed = _Before.ASCII, _ASCII
    return (after, _END if needed == _LAST_BREAK else _ANYTHING, False) if behind & needed else None


def anchor_table(escaped: bool) -> tuple[Array, Array]:
    """Return transitions [S, 256] (-1 = none) and final states [S] of the texts whose marks hold.

    Args:
        escaped: Whether the characters are written as inside a JSON string.
    """
    states: list[_State] = [(_Before.START, _ANYTHING, False)]
    rows = []
    for state in states:  # grows while it is read
        row = []
        for byte in range(256):
            after = _after(state, byte, escaped)
            if after is not None and after not in states:
                states.append(after)
            row.append(-1 if after is None else states.index(after))
        rows.append(row)
    return np.array(rows, dtype=np.int32), np.array([bool(behind & _END) and not late for _, behind, late in states])
