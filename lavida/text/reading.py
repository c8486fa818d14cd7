"""Write text that was read in a picture into the prompt: words with coarse places, behind the hint.

[image] [hint] <|spare0|> <|spare1|> OPEN <|spare3|> Tel. 5 5 <|user|> What does the sign say? <|assistant|>

The first token says that a reader looked, whether it found anything or not; the others that a text begins, and whether
it stands in the upper, middle or lower third of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

from lavida.text.tokenizer import Tokenizer

LOOKED = "<|spare0|>"
PLACES = ("<|spare1|>", "<|spare2|>", "<|spare3|>")
TEXTS, TOKENS = 4, 10  # at most so many texts, and tokens of each


def read_ids(tokenizer: Tokenizer, texts: Sequence[tuple[str, tuple[float, float, float, float]]]) -> list[int]:
    """Return the ids of what was read: (text, box) pairs in reading order; the largest are kept."""
    kept = sorted(range(len(texts)), key=lambda i: texts[i][1][1] - texts[i][1][3])[:TEXTS]
    ids = [tokenizer.id_of(LOOKED)]
    for i in sorted(kept):
        text, (_, top, _, bottom) = texts[i]
        ids += [tokenizer.id_of(PLACES[min(2, int((top + bottom) * 1.5))]), *tokenizer.encode(text)[:TOKENS]]
    return ids
