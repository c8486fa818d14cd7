"""Questions about a scene and their only right answers, in any of the languages that are taught.

One prompt always has one form of answer: a diffusion model that learns several forms for one prompt mixes them when
it writes many words at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from lavida.text.labels import Label
from mini.data.facts import DRAW, NAMES, WORDINGS, Fact
from mini.data.languages import LANGUAGES
from mini.data.scenes import Scene


@dataclass(frozen=True, kw_only=True)
class Question:
    """Hold a prompt, its answer and its kind (for the tables of figures)."""

    kind: str
    prompt: str
    answer: str
    names: tuple[str, ...] = ()  # the concepts that the prompt speaks of, whether they are there or not
    language: str = "en"


def phrase(fact: Fact, language: str = "en") -> Question:
    """Put a fact into words as a question and its answer."""
    words = LANGUAGES[language]
    return Question(
        kind=fact.kind, prompt=words.prompt(fact), answer=words.answer(fact), names=fact.names, language=language
    )


def prompt_of(kind: str, language: str = "en") -> str:
    """Return the prompt of a kind that names nothing: "name", "caption" or "detailed"."""
    return LANGUAGES[language].prompt(Fact(kind=kind))


def ask(scene: Scene, kind: str, rng: random.Random, language: str = "en") -> Question | None:
    """Draw a question of the given kind about the scene; return None where the scene allows none."""
    fact = DRAW[kind](scene, rng)
    return None if fact is None else phrase(fact, language)


def ask_photo(label: Label, kind: str, rng: random.Random, language: str = "en") -> Question | None:
    """Draw a question about a photograph of which only the classifier's name is known; return None for another kind."""
    words, label = LANGUAGES[language], label.said_in(language)
    if kind in ("caption", "name", "kind"):
        prompt = words.prompt(Fact(kind=kind, variant=rng.randrange(WORDINGS[kind]) if WORDINGS[kind] > 1 else 0))
        answer = {
            "caption": words.photo_caption(label.name, label.kind),
            "name": words.one_of(label.name),
            "kind": words.one_of(label.kind or label.kinds[-1]),
        }[kind]
    elif kind == "presence":
        yes = rng.random() < 0.5
        prompt = words.is_there(rng.choice(_present_names(label) if yes else _absent_names(label, language)))
        answer = words.yes_no(yes)
    else:
        return None
    return Question(kind=kind, prompt=prompt, answer=answer, language=language)


def _present_names(label: Label) -> list[str]:
    """Return the names that the photograph can be said to show."""
    return sorted({label.name, *label.specific})


def _absent_names(label: Label, language: str) -> list[str]:
    """Return the concepts that are neither its name nor one of its kinds."""
    names = [LANGUAGES[language].forms(name)[0] for name in NAMES]
    return [name for name in names if name not in {label.name, *label.kinds}]
