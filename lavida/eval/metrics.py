"""Metrics of written answers: CIDEr-D, AUC, and means over figures that may be missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lavida.text.words import words

NGRAMS, SIGMA = 4, 6.0


def _counts(w: Sequence[str]) -> list[Counter[tuple[str, ...]]]:
    """Count the n-grams of each order 1..4 of a text's tokens."""
    return [Counter(tuple(w[i : i + n]) for i in range(len(w) - n + 1)) for n in range(1, NGRAMS + 1)]


class Cider:
    """Compute CIDEr-D (arXiv 1411.5726, section 6).

    Clipped TF-IDF cosine of n-grams, unequal length penalised, times 10. Document frequencies come from the references
    given: one document is all references of one picture. The published figures count the tokens of
    `lavida.eval.captions.ptb_words`.
    """

    def __init__(self, references: Sequence[Sequence[str]], tokens: Callable[[str], list[str]] = words) -> None:
        self._tokens = tokens
        self._references = [[_counts(tokens(r)) for r in refs] for refs in references]
        self._documents: Counter[tuple[str, ...]] = Counter()
        for refs in self._references:
            self._documents.update({gram for ref in refs for order in ref for gram in order})
        self._log_n = math.log(max(1, len(references)))

    def score(self, captions: Sequence[str]) -> list[float]:
        """Return the score of each picture's caption, in the order of the references."""
        return [self._one(_counts(self._tokens(c)), refs) for c, refs in zip(captions, self._references, strict=True)]

    def mean(self, captions: Sequence[str]) -> float:
        """Return the mean of `score` over all pictures."""
        scores = self.score(captions)
        return sum(scores) / len(scores) if scores else math.nan

    def _one(self, caption: list[Counter], refs: list[list[Counter]]) -> float:
        vectors = [self._weights(order) for order in caption]
        total = 0.0
        for ref in refs:
            gap = caption[0].total() - ref[0].total()
            penalty = math.exp(-(gap**2) / (2 * SIGMA**2))
            total += penalty * sum(_clipped_cosine(v, self._weights(o)) for v, o in zip(vectors, ref, strict=True))
        return 10 * total / (NGRAMS * len(refs))

    def _weights(self, order: Counter) -> dict[tuple[str, ...], float]:
        return {g: n * (self._log_n - math.log(max(1, self._documents[g]))) for g, n in order.items()}


def _clipped_cosine(v: dict, ref: dict) -> float:
    lengths = math.sqrt(sum(x * x for x in v.values())) * math.sqrt(sum(x * x for x in ref.values()))
    return sum(min(x, ref[g]) * ref[g] for g, x in v.items() if g in ref) / lengths if lengths else 0.0


def auc(low: Sequence[float], high: Sequence[float]) -> float:
    """Return how often a value of `low` is below one of `high`, ties counting half; nan if either is empty."""
    if not low or not high:
        return math.nan
    wins = sum((a < b) + 0.5 * (a == b) for a in low for b in high)
    return wins / (len(low) * len(high))


def mean(values: Iterable[float]) -> float:
    """Return the mean of the values that are not nan; nan of none."""
    kept = [value for value in values if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else math.nan


def without_nan(value: Any) -> Any:
    """Return figures as JSON has them: null for nan, at any depth."""
    if isinstance(value, dict):
        return {name: without_nan(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
