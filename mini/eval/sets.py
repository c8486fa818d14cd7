"""Question sets with balanced answers, drawn from scenes with a seed: a constant answer must not look good."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mini.data.english import NUMBERS
from mini.data.facts import DRAW, Fact
from mini.data.languages import LANGUAGES
from mini.data.questions import Question, phrase
from mini.data.scenes import Scene

# Kinds of question in the order of the tables; "side" asks for left or right, "above_below" for the other two.
SHORT = (
    "name", "name_at", "where", "count", "total", "colour", "presence", "side", "above_below", "side_yes_no",
    "next_to", "kind",
)  # fmt: skip
KINDS = (*SHORT, "caption")
# Closed sets of answers, in English, that must come equally often.
_ANSWERS = {
    "count": NUMBERS[1:5],
    "total": NUMBERS[1:5],
    "presence": ("yes", "no"),
    "side": ("left", "right"),
    "above_below": ("above", "below"),
    "side_yes_no": ("yes", "no"),
}
_TRIES = 12  # draws of a question for each scene: enough to meet most of what can be asked


@dataclass(frozen=True, kw_only=True)
class PictureQuestion:
    """Hold one question about one picture of a split."""

    picture: int
    question: Question


def draw_fact(scene: Scene, kind: str, rng: random.Random) -> Fact | None:
    """Draw a fact about a scene, of one of the kinds of SHORT."""
    fact = DRAW["side" if kind == "above_below" else kind](scene, rng)
    if fact is None or (kind in ("side", "above_below") and fact.true not in _ANSWERS[kind]):
        return None
    return fact


def phrase_as(fact: Fact, kind: str, language: str) -> Question:
    """Put a fact into words under one of the kinds of SHORT."""
    return replace(phrase(fact, language), kind=kind)


def balanced(scenes: Sequence[Scene], kind: str, n: int, seed: int, language: str = "en") -> list[PictureQuestion]:
    """Draw at most n questions of one kind, every answer as often as the scenes allow; the same in every language.

    Closed kinds (numbers, yes or no, sides) get exactly equal shares; of colours and places no answer gets more than
    an equal share, and names are taken in turn. No scene gives the same answer twice.
    """
    if kind == "caption":
        return [
            PictureQuestion(picture=i, question=phrase(Fact(kind=kind, scene=s), language))
            for i, s in enumerate(scenes[:n])
        ]
    rng = random.Random(f"{kind} {seed}")
    groups: dict[str, list[PictureQuestion]] = {a: [] for a in _ANSWERS.get(kind, ())}
    for i in rng.sample(range(len(scenes)), len(scenes)):
        facts = (draw_fact(scenes[i], kind, rng) for _ in range(_TRIES))
        for answer, fact in {phrase(f).answer: f for f in facts if f is not None}.items():
            groups.setdefault(answer, []).append(PictureQuestion(picture=i, question=phrase_as(fact, kind, language)))
    if not groups:
        return []
    share = -(-n // len(groups))
    if kind in _ANSWERS:
        share = min(n // len(groups), *(len(g) for g in groups.values()))
    chosen = [a for answer in sorted(groups) for a in groups[answer][:share]]
    rng.shuffle(chosen)
    return chosen[:n]


def question_set(
    scenes: Sequence[Scene], n: int, seed: int, kinds: Sequence[str] = KINDS, language: str = "en"
) -> dict[str, list[PictureQuestion]]:
    """Draw a balanced set of each kind."""
    return {kind: balanced(scenes, kind, n, seed, language) for kind in kinds}


def constants(scenes: Sequence[Scene], seed: int, kinds: Sequence[str] = SHORT, language: str = "en") -> dict[str, str]:
    """Return the most frequent answer to each kind of question about training scenes, as they come (not balanced)."""
    rng = random.Random(seed)
    found: dict[str, str] = {}
    for kind in kinds:
        answers = Counter(phrase(f, language).answer for s in scenes if (f := draw_fact(s, kind, rng)) is not None)
        if answers:
            found[kind] = max(sorted(answers), key=answers.__getitem__)
    if scenes:
        found["caption"] = Counter(sorted(map(LANGUAGES[language].caption, scenes))).most_common(1)[0][0]
    return found
