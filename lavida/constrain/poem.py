"""Poems: lines that begin as they are told and have a length in words, syllables or tokens."""

from __future__ import annotations

from collections.abc import Sequence

from lavida.constrain.template import Hole, Template
from lavida.errors import RequestError

HAIKU = (5, 7, 5)


def poem(
    starts: Sequence[str] = (),
    *,
    acrostic: str | None = None,
    syllables: Sequence[int] | None = None,
    words: tuple[int, int] | None = None,
    tokens: tuple[int, int] | None = None,
    lines: int | None = None,
) -> Template:
    """A template of one hole a line.

    `starts` are the letters that each line begins with, `acrostic` gives one to each line; `syllables` are those of
    each line, one number for all of them; `words` and `tokens` are the least and the most of a line (4 to 8 words
    unless something is said). Raises RequestError for numbers that do not agree.
    """
    if acrostic is not None:
        if starts:
            raise RequestError("an acrostic says how each line begins; leave out the starts")
        starts = [letter.upper() for letter in acrostic if letter.isalpha()]
    if sum(given is not None for given in (syllables, words, tokens)) > 1:
        raise RequestError("a line is measured in syllables, in words or in tokens; choose one")
    counts = {len(given) for given in (starts, syllables or ()) if len(given) > 1}
    number = lines or max([1, len(starts), *counts])
    if number < 1 or counts - {number}:
        raise RequestError(f"a poem of {number} lines, and {min(counts - {number})} given; make them equal")
    measure, bounds = _measure(syllables, words, tokens)
    parts: list[str | Hole] = []
    for line in range(number):
        least, most = bounds[line] if len(bounds) > 1 else bounds[0]
        start = starts[line] if len(starts) > 1 else starts[0] if starts else ""
        parts += ["\n"] * (line > 0) + [Hole(measure=measure, least=least, most=most, start=start)]
    return Template(parts=tuple(parts))


def _measure(
    syllables: Sequence[int] | None, words: tuple[int, int] | None, tokens: tuple[int, int] | None
) -> tuple[str, list[tuple[int, int]]]:
    if syllables:
        return "syllables", [(count, count) for count in syllables]
    if tokens:
        return "tokens", [tokens]
    return "words", [words or (4, 8)]
