"""The text that the tokenizer learns from: questions and answers, names, class names, WordNet's definitions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from lavida.data.concepts import CONCEPTS
from lavida.data.questions import KINDS_OF_QUESTION, ask
from lavida.data.worlds import World
from lavida.text.labels import Label

VOCABULARY = 11_776


def read_glosses(nouns: Path) -> list[str]:
    """The definitions in WordNet's `data.noun`."""
    lines = nouns.read_text(encoding="utf-8").splitlines()
    return [line.split(" | ")[1].strip() for line in lines if " | " in line and not line.startswith("  ")]


def corpus(labels: Sequence[Label], glosses: Sequence[str], *, scenes: int = 12_000, seed: int = 7) -> Iterator[str]:
    """Lines of text; every name occurs often enough, with and without a space before it, to become one token."""
    rng, world = random.Random(seed), World.symbolic()
    for _ in range(scenes):
        scene = world.scene(rng)
        for kind in KINDS_OF_QUESTION:
            question = ask(scene, kind, rng)
            if question is not None:
                yield question.prompt
                yield question.answer
    for concept in CONCEPTS.values():
        for i in range(300):
            yield f"{concept.article} {concept.name} {concept.plural}"
            yield concept.kind
            if i % 5 == 0:
                yield f'{{"{concept.name}'
    for label in labels:
        for _ in range(4):
            yield label.name
            yield " ".join(label.kinds)
    yield from (gloss for gloss in glosses if rng.random() < 0.3)
