r"""Tell where ^, $, \b and their like hold: an automaton over text in which they stand as marks.

A regex with anchors is compiled with each anchor as a byte that UTF-8 does not use. Intersected with the automaton of
this module, which checks every mark against the characters around it, and with the marks then read as nothing, it
accepts what the regex matches.
"""

from __future__ import annotations

import numpy as np

from lavida.constrain.grammar import Assertion
from lavida.constrain.nfa import Array

FIRST_MARK = 0xF5  # no byte of UTF-8 is larger

# What stands before or behind a position, as bits: an end of the text; a letter, digit or underscore of ASCII; a line
# break; one that is the last character; another character of ASCII; any other character.
_END, _WORD, _BREAK, _LAST_BREAK, _ASCII, _BEYOND = (1 << i for i in range(6))
_ANYTHING = (1 << 6) - 1
_NO_WORD = _END | _BREAK | _LAST_BREAK | _ASCII
_ENDS = {
    Assertion.TEXT_END: _END,
    Assertion.LAST_LINE_END: _END | _LAST_BREAK,
    Assertion.LINE_END: _END | _BREAK | _LAST_BREAK,
}
_STARTS = {Assertion.TEXT_START: _END, Assertion.LINE_START: _END | _BREAK}

_State = tuple[int, int, bool]  # what is before, what may come behind, whether a backslash was read


def _holds(mark: Assertion, before: int) -> int:
    """Return what may come behind a mark."""
    if mark in _ENDS:
        return _ENDS[mark]
    if mark in _STARTS:
        return _ANYTHING if before & _STARTS[mark] else 0
    ascii_only = mark in (Assertion.ASCII_EDGE, Assertion.ASCII_NO_EDGE)
    if before == _BEYOND and not ascii_only:
        return 0  # it may be a letter or not
    no_word = _NO_WORD | (_BEYOND if ascii_only else 0)
    if mark in (Assertion.EDGE, Assertion.ASCII_EDGE):
        return no_word if before == _WORD else _WORD
    if before == _END:
        no_word &= ~_END  # Python versions differ about \B in the empty text
    return _WORD if before == _WORD else no_word


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
        return state if before == _BEYOND and behind == _ANYTHING else None
    kind = _BEYOND if byte >= 0xC0 else _ASCII
    if char == ("n" if backslash else "\n"):
        kind = _BREAK
    elif byte < 0x80 and not backslash and (char.isalnum() or char == "_"):
        kind = _WORD
    if behind & kind:
        return kind, _ANYTHING, False
    return (kind, _END, False) if kind == _BREAK and behind & _LAST_BREAK else None


def anchor_table(escaped: bool) -> tuple[Array, Array]:
    """Return transitions [S, 256] (-1 = none) and final states [S] of texts, `escaped` as in JSON, whose marks hold."""
    states: list[_State] = [(_END, _ANYTHING, False)]
    rows = []
    for state in states:  # grows while it is read
        after = [_after(state, byte, escaped) for byte in range(256)]
        states += [new for new in dict.fromkeys(after) if new is not None and new not in states]
        rows.append([-1 if new is None else states.index(new) for new in after])
    return np.array(rows, dtype=np.int32), np.array([bool(behind & _END) and not late for _, behind, late in states])
