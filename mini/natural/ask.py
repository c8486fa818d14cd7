"""Write natural questions about a picture whose truth is known, each with its answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

from mini.natural import ask_picture, ask_things
from mini.natural.asker import Asked, Asker
from mini.natural.judge import normalize
from mini.natural.photos import load_split
from mini.natural.truth import Truth

__all__ = ["WEIGHTS", "Asked", "question", "questions"]

# kind -> how often it is asked, where the truth allows it
WEIGHTS = {
    "name": 12.0, "held": 3.0, "which": 6.0, "caption": 8.0, "presence": 18.0, "count": 8.0, "count_check": 3.0,
    "colour": 8.0, "colour_main": 3.0, "colour_check": 5.0, "ground": 2.5, "ground_check": 1.5, "place": 7.0,
    "place_check": 4.0, "name_at": 3.0, "choice": 5.0, "choice_colour": 2.0, "kind": 2.0, "kind_check": 5.0,
    "scene": 3.0, "scene_check": 2.0, "daytime": 3.5, "daytime_check": 3.0, "mono": 2.0, "mono_check": 1.5,
    "brightness_check": 2.0, "doing": 1.5, "doing_check": 1.5, "text": 4.0, "text_check": 2.0, "sure": 1.5,
    "unanswerable": 8.0,
}  # fmt: skip

_WRITERS: dict[str, Callable[[Asker], Asked | None]] = {
    "name": ask_things.name,
    "held": ask_things.held,
    "which": ask_things.which,
    "caption": ask_things.caption,
    "presence": ask_things.presence,
    "count": ask_things.count,
    "count_check": ask_things.count_check,
    "colour": ask_things.colour,
    "colour_main": ask_things.colour_main,
    "colour_check": ask_things.colour_check,
    "ground": ask_picture.ground,
    "ground_check": ask_picture.ground_check,
    "place": ask_things.place,
    "place_check": ask_things.place_check,
    "name_at": ask_things.name_at,
    "choice": ask_things.choice,
    "choice_colour": ask_things.choice_colour,
    "kind": ask_things.kind,
    "kind_check": ask_things.kind_check,
    "scene": ask_picture.scene,
    "scene_check": ask_picture.scene_check,
    "daytime": ask_picture.daytime,
    "daytime_check": ask_picture.daytime_check,
    "mono": ask_picture.mono,
    "mono_check": ask_picture.mono_check,
    "brightness_check": ask_picture.brightness_check,
    "doing": ask_picture.doing,
    "doing_check": ask_picture.doing_check,
    "text": ask_picture.text,
    "text_check": ask_picture.text_check,
    "sure": ask_things.sure,
    "unanswerable": ask_picture.unanswerable,
}


def question(truth: Truth, kind: str, rng: random.Random, *, language: str, held_out: bool = False) -> Asked | None:
    """Return a question of one kind, or None where the truth (or the draw) allows none."""
    return _WRITERS[kind](Asker(truth, rng, language, held_out))


@cache
def _tested() -> frozenset[str]:
    """Return the questions of split (v), which modifiers may put together by chance and which are never trained on."""
    return frozenset(normalize(question.question) for question in load_split()[1])


def questions(truth: Truth, rng: random.Random, *, count: int, language: str, held_out: bool = False) -> list[Asked]:
    """Return different questions about a picture, kinds drawn by `WEIGHTS`.

    Args:
        truth: What is known about the picture.
        rng: Source of every choice.
        count: Number of questions; fewer come back if the truth allows no more.
        language: "en" or "zh".
        held_out: Draw from the wordings that training never sees.
    """
    found: dict[str, Asked] = {}
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    for _ in range(20 * count):
        if len(found) == count:
            break
        asked = question(truth, rng.choices(kinds, weights)[0], rng, language=language, held_out=held_out)
        if asked is not None and normalize(asked.question) not in _tested():
            found.setdefault(asked.question.lower(), asked)
    return list(found.values())
