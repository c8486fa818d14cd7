"""The corpus of the tokenizer: English questions and answers, names, class names and WordNet's definitions.

Chinese is not learned but given: each piece of its closed forms and each class name is a token.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from lavida.text.labels import Label
from mini.data import chinese
from mini.data.concepts import CONCEPTS
from mini.data.facts import DRAW
from mini.data.questions import ask
from mini.data.worlds import SceneSampler

VOCABULARY = 11_968


def read_glosses(nouns: Path) -> list[str]:
    """Return the definitions in WordNet's `data.noun`."""
    lines = nouns.read_text(encoding="utf-8").splitlines()
    return [line.split(" | ")[1].strip() for line in lines if " | " in line and not line.startswith("  ")]


def corpus(labels: Sequence[Label], glosses: Sequence[str], *, scenes: int = 12_000, seed: int = 7) -> Iterator[str]:
    """Yield lines of English; every name occurs often enough, with and without a space before it, to be one token."""
    rng, sampler = random.Random(seed), SceneSampler.symbolic()
    for _ in range(scenes):
        scene = sampler.scene(rng)
        for kind in DRAW:
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
        for _ in range(12):
            yield label.name
            yield " ".join(label.kinds)
    yield from (gloss for gloss in glosses if rng.random() < 0.3)


def chinese_words(labels: Sequence[Label]) -> list[str]:
    """Return the Chinese words that become one token each: of questions and answers, and the names of classes."""
    named = {label.others["zh"].name for label in labels if "zh" in label.others}
    return sorted({*chinese.vocabulary(), *named})
