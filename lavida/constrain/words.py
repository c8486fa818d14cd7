"""Find what the tokens of a vocabulary spell, and which of them are words of the pronouncing dictionary."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from functools import cached_property

import numpy as np

from lavida.constrain.nfa import Array
from lavida.text.spelling import spell
from lavida.text.syllables import syllable_table
from lavida.text.tokenizer import Vocabulary

# The dictionary holds letters and abbreviations too, which are pieces of other words in a vocabulary.
_SHORT = frozenset("a am an as at be by do go he hi if in is it me my no of oh on or ox so to up us we".split())


class Lexicon:
    """Hold a vocabulary as bytes, and the words in it that the pronouncing dictionary knows."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        spelling = spell(vocabulary)
        self._bytes = [spelling.bytes_of(i) for i in range(spelling.size)]  # none of special tokens
        self._spelled: dict[bytes, list[int]] = defaultdict(list)
        for i, data in enumerate(self._bytes):
            self._spelled[data].append(i)
        self._longest = max(map(len, self._spelled), default=0)
        plain = sorted((data, i) for i, data in enumerate(self._bytes) if _is_plain(data))
        self._sorted = [data for data, _ in plain]
        self.plain = np.array([i for _, i in plain], dtype=np.int64)  # tokens of printable text

    @cached_property
    def words(self) -> list[tuple[str, int, int]]:
        """Return (word, syllables, token) for each token that is a whole lower-case word with a space before it."""
        spelled = [(data[1:].decode("ascii", "replace"), i) for i, data in enumerate(self._bytes) if data[:1] == b" "]
        return [(word, syllable_table()[word], i) for word, i in spelled if is_word(word)]

    def marks(self, signs: str) -> list[int]:
        """Return the tokens that are one of these signs."""
        return [token for sign in signs for token in self._spelled.get(sign.encode(), ())]

    def pieces(self, text: bytes) -> list[tuple[int, int, int]]:
        """Return (from, to, token) for each token that spells a part of a text."""
        return [
            (at, to, token)
            for at in range(len(text))
            for to in range(at + 1, min(at + self._longest, len(text)) + 1)
            for token in self._spelled.get(text[at:to], ())
        ]

    def overshooting(self, rest: bytes) -> Array:
        """Return the plain tokens that begin with `rest` and are longer."""
        return self.plain[bisect_right(self._sorted, rest) : bisect_left(self._sorted, rest + b"\xff")]

    def spelling(self, text: str) -> list[int]:
        """Return a text as this tokenizer writes it, a space before it."""
        return self._vocabulary.encode(text if self._vocabulary.adds_space else " " + text)


def is_word(word: str) -> bool:
    """Tell whether the pronouncing dictionary has a lower-case word, and not just its letters."""
    return word in syllable_table() and (len(word) > 2 or word in _SHORT)


def _is_plain(data: bytes) -> bool:
    try:
        return data.decode().isprintable() and bool(data.strip())
    except UnicodeDecodeError:
        return False
