"""The prompt of lavida-mini: image tokens, the tower's hint, then the user's words.

[image] <|hint:sure|> cat an Egyptian cat <|user|> What is this? <|assistant|> [canvas]

A model of two languages gets kind and name in the other language too, behind the English ones.
"""

from __future__ import annotations

from lavida.text.labels import Label
from lavida.text.tokenizer import ASSISTANT, HINTS, NOTHING, USER, Tokenizer

HINT_TOKENS = 8  # of every hint, so that its words stand at a fixed distance from the question
OTHER_TOKENS = 3  # of each other language, whose names are mostly one token


def with_article(words: str) -> str:
    """Return 'a cat' or 'an owl'; the article is part of a hint, so that an answer can copy both."""
    return f"{'an' if words[0].lower() in 'aeiou' and not words.startswith('uni') else 'a'} {words}"


def hint_ids(tokenizer: Tokenizer, label: Label, probability: float) -> list[int]:
    """Return the hint that follows the image: how certain the tower is of its first class, the kind and the name."""
    certainty = HINTS[0] if probability >= 0.6 else HINTS[1] if probability >= 0.25 else HINTS[2]
    ids = [tokenizer.id_of(certainty), *_named(tokenizer, label.kind, with_article(label.name), HINT_TOKENS - 1)]
    for other in label.others.values():
        ids += _named(tokenizer, other.kind, other.name, OTHER_TOKENS)
    return ids


def _named(tokenizer: Tokenizer, kind: str, name: str, length: int) -> list[int]:
    """Return a kind in one token and a name in the rest."""
    nothing = tokenizer.id_of(NOTHING)
    ids = [tokenizer.encode(kind)[0] if kind else nothing, *tokenizer.encode(name)][:length]
    return ids + [nothing] * (length - len(ids))


def question_ids(tokenizer: Tokenizer, question: str) -> list[int]:
    """Return the user's turn and the opening of the answer."""
    return [tokenizer.id_of(USER), *tokenizer.encode(question.strip()), tokenizer.id_of(ASSISTANT)]
