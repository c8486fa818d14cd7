"""Find the names that a question speaks of, and where the picture shows them: the targets of the grounding loss."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor

from lavida.model.evidence import CELLS, GLOBAL, TILES
from mini.natural.names import NAMES, is_a
from mini.natural.truth import Truth

MOST = 8  # the largest number that is told
UNKNOWN = -100  # in the place of a number that the truth does not tell
_MARK = "|"  # between the key and the word in a mention


class Mentions:
    """Find names in questions of either language."""

    def __init__(self) -> None:
        self._english: dict[str, str] = {}
        self._chinese: dict[str, str] = {}
        for key, name in NAMES.items():
            for word in (name.text, name.plural, *(w for pair in name.synonyms for w in pair)):
                self._english.setdefault(word.lower(), key)
            for word in (name.chinese, *name.chinese_synonyms):
                self._chinese.setdefault(word, key)
        self._longest = max(len(word) for word in self._chinese)

    def __call__(self, question: str, language: str, truth: Truth) -> tuple[str, ...]:
        """Return mentions "key|word" of names about which the truth is complete or that it lists."""
        found = self._in_chinese(question) if language == "zh" else self._in_english(question)
        return tuple(f"{key}{_MARK}{word}" for key, word in found if _known(truth, key))

    def _in_english(self, question: str) -> list[tuple[str, str]]:
        words = [m.group() for m in re.finditer(r"[A-Za-z']+", question)]
        found, at = [], 0
        while at < len(words):
            for length in (3, 2, 1):
                phrase = " ".join(words[at : at + length])
                if len(words) >= at + length and (key := self._english.get(phrase.lower())) is not None:
                    found.append((key, phrase))
                    at += length
                    break
            else:
                at += 1
        return found

    def _in_chinese(self, question: str) -> list[tuple[str, str]]:
        found, at = [], 0
        while at < len(question):
            for length in range(min(self._longest, len(question) - at), 0, -1):
                word = question[at : at + length]
                if word in self._chinese:
                    found.append((self._chinese[word], word))
                    at += length
                    break
            else:
                at += 1
        return found


def word_of(mention: str) -> str:
    """Return the word by which a mention speaks of its name."""
    return mention.partition(_MARK)[2]


def shown_cells(truth: Truth, mention: str) -> tuple[Tensor, int]:
    """Return which cells [C] show a mentioned name, and how many things of it there are (or UNKNOWN)."""
    key = mention.partition(_MARK)[0]
    things = [thing for thing in truth.things if is_a(thing.name, key)]
    shown = np.zeros(CELLS, dtype=np.float32)
    for side, first in ((GLOBAL, 0), (TILES, GLOBAL * GLOBAL)):
        grid, at = shown[first : first + side * side].reshape(side, side), (np.arange(side) + 0.5) / side
        for thing in things:
            x0, y0, x1, y1 = thing.box
            grid[np.ix_((at >= y0) & (at <= y1), (at >= x0) & (at <= x1))] = 1
            x, y = thing.centre
            grid[min(side - 1, max(0, int(y * side))), min(side - 1, max(0, int(x * side)))] = 1
    return torch.from_numpy(shown), min(len(things), MOST) if truth.is_complete(key) else UNKNOWN


def _known(truth: Truth, key: str) -> bool:
    return truth.is_complete(key) or any(is_a(thing.name, key) for thing in truth.things)
