"""Gaps of unknown length within an answer, by which a model learns to infill (LaViDa, stage 3 "FIM").

An answer such as "a cat on a mat" becomes "a cat [S][S][FIM] on a mat": [FIM] stands fixed at the end of a gap, [S] is
written where a place of the gap is not needed. At inference a gap is a run of masks before [FIM].
"""

from __future__ import annotations

import random

from lavida.text.chat import Token

MOST_PLACES = 5  # of one gap
FEWEST_WORDS = 3  # an answer of so many words or less stays whole


def with_gaps(text: str, gap: tuple[str, str], rng: random.Random, *, spaced: bool = True) -> list[str]:
    """Cut a text into pieces, with gaps of 0 to 5 places between its words; white space becomes one space each.

    Args:
        text: The answer.
        gap: The spelling of the tokens [S] and [FIM].
        rng: Draws number, places and lengths of the gaps.
        spaced: A space stands on both sides of a gap, as in the published data; False for a tokenizer that puts one
            before every text.
    """
    words = text.split()
    if len(words) <= FEWEST_WORDS:
        return [text]
    most = min(max(5, int(0.1 * len(words))), 10)
    count = rng.randint(1, min(most, len(words) - 1))
    points = sorted(rng.sample(range(1, len(words)), count))
    empty, end = (Token(token) for token in gap)
    space = " " if spaced else ""
    pieces: list[str] = []
    for start, stop in zip([0, *points], [*points, len(words)]):
        pieces.append((space if start else "") + " ".join(words[start:stop]) + (space if stop < len(words) else ""))
        if stop < len(words):
            pieces += [empty] * rng.randint(0, MOST_PLACES) + [end]
    return pieces
