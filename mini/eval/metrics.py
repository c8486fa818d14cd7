"""Metrics of captions of lavida-mini's scenes: recall and precision of the concepts that they name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from lavida.text.words import words
from mini.data.concepts import CONCEPTS
from mini.data.languages import LANGUAGES

_NAMES = {form: name for words in LANGUAGES.values() for name in CONCEPTS for form in reversed(words.forms(name))}
# Names written without spaces between them: the longest that fits at each place.
_UNSPACED = re.compile("|".join(sorted((w for w in _NAMES if not w.isascii()), key=len, reverse=True)))


def nouns(text: str) -> set[str]:
    """Return the concepts that a text in any language mentions; a plural counts as its name."""
    spaced = (w for w in words(text) if w.isascii())
    return {_NAMES[w] for w in (*spaced, *_UNSPACED.findall(text)) if w in _NAMES}


def noun_scores(captions: Sequence[str], names: Sequence[Collection[str]]) -> tuple[float, float]:
    """Return recall and precision of the names in captions, pooled over all captions; 0 where nothing is named."""
    found = [nouns(c) for c in captions]
    hits = sum(len(s & set(t)) for s, t in zip(found, names, strict=True))
    true, named = sum(len(set(t)) for t in names), sum(len(s) for s in found)
    return hits / max(1, true), hits / max(1, named)
