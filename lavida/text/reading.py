"""Write text that was read in a picture into the prompt: words with coarse places, behind the hint.

[image] [hint] <|spare0|> <|spare1|> OPEN <|spare3|> Tel. 5 5 <|user|> What does the sign say? <|assistant|>
[image] [hint] <|spare0|> <|spare1|> "Blue Market" <|spare2|> "Total" "12.50" <|user|> Read the receipt ...

The first token says that a reader looked, whether it found anything or not; the others that a text begins, and whether
it stands in the upper, middle or lower third of the picture. The second form is that of documents
(`ReadingConfig.lines`): texts of one line stand behind one place, each spelled as in JSON, so that an object copies its
tokens as they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from lavida.config import ReadingConfig
from lavida.text.tokenizer import Tokenizer

LOOKED = "<|spare0|>"
PLACES = ("<|spare1|>", "<|spare2|>", "<|spare3|>")
SIGNS = ReadingConfig()
DOCUMENTS = ReadingConfig(texts=24, tokens=24, room=192, lines=True)

_Box = tuple[float, float, float, float]


def read_ids(tokenizer: Tokenizer, texts: Sequence[tuple[str, _Box]], reading: ReadingConfig = SIGNS) -> list[int]:
    """Return the ids of what was read: (text, box) pairs in reading order; the largest are kept."""
    largest = sorted(range(len(texts)), key=lambda i: texts[i][1][1] - texts[i][1][3])[: reading.texts]
    kept: dict[int, list[int]] = {}
    room = reading.room
    for i in largest:
        text = json.dumps(texts[i][0], ensure_ascii=False) if reading.lines else texts[i][0]
        ids = tokenizer.encode(text)[: reading.tokens]
        if len(ids) + 1 <= room:
            kept[i] = ids
            room -= len(ids) + 1
    found = [tokenizer.id_of(LOOKED)]
    before: _Box | None = None
    for i in sorted(kept):
        box = texts[i][1]
        if not (reading.lines and before is not None and _beside(before, box)):
            found.append(tokenizer.id_of(PLACES[min(2, int((box[1] + box[3]) * 1.5))]))
        found += kept[i]
        before = box
    return found


def _beside(left: _Box, right: _Box) -> bool:
    """Report whether a text stands to the right of another in the same line."""
    return left[1] < (right[1] + right[3]) / 2 < left[3] and right[0] > left[0]
