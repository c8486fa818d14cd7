r"""Values of the LaTeX that answers to mathematical questions are written in: numbers, \frac, \sqrt, \pi, powers.

What is not understood has no value; nothing is executed.
"""

from __future__ import annotations

import math
import re

_TOKEN = re.compile(r"\s*(\d+\.?\d*|\.\d+|\\[a-z]+|[-+*/^(){}\[\]])")
_CONSTANTS = {"\\pi": math.pi}
_TIMES = ("*", "\\times", "\\cdot")
_OVER = ("/", "\\div")
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_LARGEST = 1e6  # of an exponent
_DEPTH = 50


class _UnreadableError(Exception):
    """Report an expression that is not understood."""


def value_of(text: str) -> float | None:
    r"""Return the value of an expression such as `3\frac{1}{2}`, `\sqrt{3}/2`, `2\pi`; None if it has none."""
    try:
        parser = _Parser(_tokens(text))
        value = parser.sum()
        return value if not parser.rest and math.isfinite(value) else None
    except (_UnreadableError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _UnreadableError
        found.append(match[1])
        place = match.end()
    return found


class _Parser:
    """Compute sums of products of powers by recursive descent."""

    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens[::-1]
        self._depth = 0

    def sum(self) -> float:
        self._depth += 1
        if self._depth > _DEPTH:
            raise _UnreadableError
        value = self._product()
        while self._next() in ("+", "-"):
            value = value + self._product() if self.rest.pop() == "+" else value - self._product()
        self._depth -= 1
        return value

    def _next(self) -> str:
        return self.rest[-1] if self.rest else ""

    def _product(self) -> float:
        sign = 1
        while self._next() in ("+", "-"):
            sign *= -1 if self.rest.pop() == "-" else 1
        value = self._power()
        while token := self._next():
            if token in _TIMES:
                self.rest.pop()
                value *= self._power()
            elif token in _OVER:
                self.rest.pop()
                value /= self._power()
            elif token in _CLOSING or token in _CONSTANTS or token in ("\\sqrt", "\\frac"):  # written side by side
                value *= self._power()
            else:
                break
        return sign * value

    def _power(self) -> float:
        base = self._atom()
        if self._next() != "^":
            return base
        self.rest.pop()
        sign = -1 if self._next() == "-" and self.rest.pop() else 1
        exponent = sign * self._atom()
        if abs(exponent) > _LARGEST:
            raise _UnreadableError
        value = base**exponent
        if isinstance(value, complex):
            raise _UnreadableError
        return value

    def _atom(self) -> float:
        token = self.rest.pop() if self.rest else ""
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token in _CLOSING:
            return self._until(_CLOSING[token])
        if token == "\\frac":
            above = self._group()
            return above / self._group()
        if token == "\\sqrt":
            root = 2.0
            if self._next() == "[":
                self.rest.pop()
                root = self._until("]")
            return self._group() ** (1 / root)
        if token and (token[0].isdigit() or token[0] == "."):
            return float(token)
        raise _UnreadableError

    def _group(self) -> float:
        if self._next() != "{":
            raise _UnreadableError
        self.rest.pop()
        return self._until("}")

    def _until(self, closing: str) -> float:
        value = self.sum()
        if not self.rest or self.rest.pop() != closing:
            raise _UnreadableError
        return value
