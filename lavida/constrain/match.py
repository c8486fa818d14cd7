"""Whether a text is of a template, told from the text alone: the tokens it was written in are not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from lavida.constrain.parts import PAUSES, STOPS, Hole, Part, gap_between
from lavida.text.syllables import count_syllables


def fits(parts: Sequence[Part], text: str) -> bool:
    """Whether the parts follow each other in the text, with nothing besides them but the spaces between."""

    @cache
    def behind(place: int, at: int) -> bool:
        """Whether the parts from `place` on make up the text from `at` on."""
        if place == len(parts):
            return at == len(text)
        part = parts[place]
        for gap in gap_between(parts[place - 1] if place else "", part, first=place == 0):
            if text.startswith(gap, at) and any(behind(place + 1, end) for end in _ends(part, text, at + len(gap))):
                return True
        return False

    return behind(0, 0)


def _ends(part: Part, text: str, at: int) -> list[int]:
    """Where a part that begins at `at` may end."""
    if isinstance(part, Hole):
        line = text.find("\n", at)
        return [end for end in range(at + 1, (len(text) if line < 0 else line) + 1) if _fills(part, text[at:end])]
    texts = (part,) if isinstance(part, str) else part.options
    return [at + len(one) for one in (one.strip(" ") for one in texts) if text.startswith(one, at)]


def _fills(hole: Hole, text: str) -> bool:
    if not (text.isprintable() and text.startswith(hole.start)):
        return False
    if hole.measure == "tokens":  # of which one text may have few or many; the space before it may be one
        return len(text.encode()) + 1 >= hole.least
    words = text.rstrip(STOPS).split(" ")
    if not all(word.rstrip(PAUSES).isalpha() for word in words):
        return False
    count = len(words) if hole.measure == "words" else count_syllables(text)
    return count is not None and hole.least <= count <= hole.most
