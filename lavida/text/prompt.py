"""The layout of a prompt of lavida-mini: image tokens, the tower's hint, then the user's words.

[image] <|hint:sure|> cat an Egyptian cat <|user|> What is this? <|assistant|> [canvas]
"""

from __future__ import annotations

from lavida.text.labels import Label
from lavida.text.tokenizer import ASSISTANT, HINTS, NOTHING, USER, Tokenizer

HINT_TOKENS = 8  # a hint always takes as many, so that its words stand at a fixed distance from the question


def with_article(words: str) -> str:
    """'a cat', 'an owl'; the article is part of a hint, so that an answer can copy both."""
    return f"{'an' if words[0].lower() in 'aeiou' and not words.startswith('uni') else 'a'} {words}"


def hint_ids(tokenizer: Tokenizer, label: Label, probability: float) -> list[int]:
    """The hint that follows the image: how sure the tower is of its first class, the kind of that and its name."""
    sure = HINTS[0] if probability >= 0.6 else HINTS[1] if probability >= 0.25 else HINTS[2]
    general = tokenizer.encode(label.kind)[0] if label.kind else tokenizer.id_of(NOTHING)
    ids = [tokenizer.id_of(sure), general, *tokenizer.encode(with_article(label.name))][:HINT_TOKENS]
    return ids + [tokenizer.id_of(NOTHING)] * (HINT_TOKENS - len(ids))


def question_ids(tokenizer: Tokenizer, question: str) -> list[int]:
    """The user's turn and the opening of the answer."""
    return [tokenizer.id_of(USER), *tokenizer.encode(question.strip()), tokenizer.id_of(ASSISTANT)]
