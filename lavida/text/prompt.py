"""The layout of a prompt of lavida-mini: image tokens, the tower's hint, then the user's words.

[image] <|hint:sure|> Egyptian cat <|user|> What is this? <|assistant|> [canvas]
"""

from __future__ import annotations

from lavida.text.tokenizer import ASSISTANT, HINTS, NOTHING, USER, Tokenizer

HINT_TOKENS = 8  # a hint always takes as many, so that its words stand at a fixed distance from the question


def hint_ids(tokenizer: Tokenizer, name: str, probability: float) -> list[int]:
    """The hint that follows the image: the tower's first class name and how sure it is."""
    sure = HINTS[0] if probability >= 0.6 else HINTS[1] if probability >= 0.25 else HINTS[2]
    ids = [tokenizer.id_of(sure), *tokenizer.encode(name)][:HINT_TOKENS]
    return ids + [tokenizer.id_of(NOTHING)] * (HINT_TOKENS - len(ids))


def question_ids(tokenizer: Tokenizer, question: str) -> list[int]:
    """The user's turn and the opening of the answer."""
    return [tokenizer.id_of(USER), *tokenizer.encode(question.strip()), tokenizer.id_of(ASSISTANT)]
