"""Scores of MME and POPE, whose questions are answered by yes or no."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


def mme_answer(answer: str) -> str:
    """Return "yes", "no" or "other", as MME reads an answer: by its first four letters."""
    text = answer.lower().strip().replace(".", "")
    if len(text) == 1:
        return {"y": "yes", "n": "no"}.get(text, "other")
    return "yes" if "yes" in text[:4] else "no" if "no" in text[:4] else "other"


def mme_scores(answers: Sequence[tuple[str, str, bool]]) -> dict[str, float]:
    """Return the score of each category, 0 to 200, and the sums "perception" and "cognition".

    A category's score is the accuracy over questions plus the accuracy over pictures, both of whose questions must be
    right, in per cent.

    Args:
        answers: Of each question its category, its picture and whether it was answered right.
    """
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for category, picture, correct in answers:
        right[category][picture].append(correct)
    scores = {
        category: sum(100 * sum(pair) / len(pair) + 100 * all(pair) for pair in pairs.values()) / len(pairs)
        for category, pairs in right.items()
    }
    sums = {"perception": PERCEPTION, "cognition": COGNITION}
    totals = {
        name: sum(scores[category] for category in categories if category in scores)
        for name, categories in sums.items()
        if any(category in scores for category in categories)
    }
    return totals | scores


def pope_figures(answers: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return accuracy, precision, recall and F1 of "yes", and the share of "yes" (arXiv 2305.10355).

    Args:
        answers: Of each question its answer and the right one, in lower case. What is neither yes nor no is wrong.
    """
    hits = sum(answer == truth == "yes" for answer, truth in answers)
    positive, wanted = sum(answer == "yes" for answer, _ in answers), sum(truth == "yes" for _, truth in answers)
    precision, recall = hits / positive if positive else 0.0, hits / wanted if wanted else 0.0
    total = len(answers)
    return {
        "accuracy": sum(answer == truth for answer, truth in answers) / total if total else 0.0,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "yes": positive / total if total else 0.0,
    }
