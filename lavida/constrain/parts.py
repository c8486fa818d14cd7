"""What templates are made of: fixed text, choices, and holes whose length is counted."""

from __future__ import annotations

from dataclasses import dataclass

from lavida.errors import RequestError

MEASURES = ("tokens", "words", "syllables")
PAUSES, STOPS = ",", ".!?"  # after any word of a hole, and after the last one
_CLOSING = ".,;:!?)\n"  # no space stands before these


@dataclass(frozen=True, kw_only=True)
class Hole:
    """`least` to `most` tokens, words or syllables, beginning with the letters `start`, on one line.

    Tokens may be anything printable; a hole measured in words or syllables holds words of the pronouncing dictionary
    that the model knows as one token, and punctuation. `start` is text in its own spelling; its last word may go on.
    """

    least: int = 1
    most: int = 8
    measure: str = "tokens"
    start: str = ""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise RequestError(f"unknown measure {self.measure!r}; choose one of {', '.join(MEASURES)}")
        if not 1 <= self.least <= self.most:
            raise RequestError(f"a hole takes at least 1 and no fewer than its least, got {self.least} to {self.most}")
        if not self.start.isprintable() or self.start != self.start.strip():
            raise RequestError("the start of a hole must be printable text on one line, without spaces around it")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of several texts, literally."""

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.options or not all(option.strip() for option in self.options):
            raise RequestError("a choice must offer at least one text and no empty one")


Part = str | Hole | Choice


def gap_between(before: Part, part: Part, *, first: bool) -> tuple[str, ...]:
    """What may stand between two parts: the answer and each line may begin with a space, as words do."""
    if first or (isinstance(before, str) and before.endswith("\n")):
        return ("", " ")
    text = part if isinstance(part, str) else ""
    return ("",) if text[:1] and text[0] in _CLOSING else (" ",)
