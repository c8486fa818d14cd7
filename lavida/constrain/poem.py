"""Build templates of poems: lines with given beginnings and lengths in words, syllables or tokens."""

from __future__ import annotations

from collections.abc import Sequence

from lavida.constrain.template import Hole, Template
from lavida.errors import RequestError

HAIKU = (5, 7, 5)
MOST_LINES = 128


def poem(
    starts: Sequence[str] = (),
    *,
    acrostic: str | None = None,
    syllables: Sequence[int] | None = None,
    words: tuple[int, int] | None = None,
    tokens: tuple[int, int] | None = None,
    lines: int | None = None,
) -> Template:
    """Build a template of one hole a line.

    Args:
        starts: The letters that each line begins with; a single one holds for all lines.
        acrostic: A word whose letters the lines begin with.
        syllables: The syllables of each line; a single number holds for all lines.
        words: The least and the most words of a line; 4 to 8 unless another measure is given.
        tokens: The least and the most tokens of a line.
        lines: The number of lines, if nothing else tells it.

    Raises:
        RequestError: The numbers do not agree.
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
    if number > MOST_LINES:
        raise RequestError(f"a poem of {number} lines fits no canvas; {MOST_LINES} are the most")
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
        return "tokens", [_pair(tokens)]
    return "words", [_pair(words or (4, 8))]


def _pair(counts: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(counts, Sequence) or len(counts) != 2:
        raise RequestError(f"the length of a line is its least and its most, such as (4, 8), got {counts!r}")
    return counts[0], counts[1]
