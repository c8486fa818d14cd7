r"""Text with holes: "There is a [M:4] in the image, next to [M]." as token ids, and with its holes filled as text.

[M:4] is a hole of 4 tokens, [M:2-5] of 2 to 5, [M] of one or more; \[M] is no hole but the text [M], and \\[M] a
backslash before a hole. The space before a hole belongs to its filling: a word and the space before it are one token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lavida.errors import RequestError
from lavida.text.tokenizer import Vocabulary

_HOLE = re.compile(r"(\\*)(\[M(?::[^\]]*)?\])")
_SIZES = re.compile(r"\[M:(\d{1,4})(?:-(\d{1,4}))?\]")


@dataclass(frozen=True, kw_only=True)
class Hole:
    """Describe a place for `least` to `most` tokens; `spaced`: the space before it is part of its first token."""

    least: int
    most: int
    spaced: bool = False


@dataclass(frozen=True, kw_only=True)
class Holed:
    """Hold a text cut at its holes; `texts` has one more entry than `holes`, and some may be empty."""

    texts: tuple[str, ...]  # without the spaces that belong to holes
    holes: tuple[Hole, ...]
    ids: tuple[tuple[int, ...], ...]  # tokens of `texts`

    def filled(self, words: Sequence[str]) -> str:
        """Return the text with `words` in its holes; an empty word leaves no space behind."""
        text = self.texts[0]
        for hole, word, rest in zip(self.holes, words, self.texts[1:], strict=True):
            text += " " * bool(hole.spaced and word and text) + word + rest
        return text


def read_holes(text: str, tokenizer: Vocabulary, *, most: int) -> Holed:
    """Cut a text at its holes; [M] takes up to `most` tokens.

    Raises:
        RequestError: The text has no hole, or one that cannot be read.
    """
    texts, marks = _split(text)
    if not marks:
        raise RequestError("the text has no hole; write [M] where something is missing, or [M:4] for four tokens")
    holes = []
    for i, mark in enumerate(marks):
        least, longest = _sizes(mark, most)
        spaced = texts[i].endswith(" ") or (i == 0 and not texts[0] and tokenizer.adds_space)
        texts[i] = texts[i].removesuffix(" ")
        holes.append(Hole(least=least, most=longest, spaced=spaced))
    ids = [tuple(text_ids(t, tokenizer, follows=i > 0)) for i, t in enumerate(texts)]
    return Holed(texts=tuple(texts), holes=tuple(holes), ids=tuple(ids))


def text_ids(text: str, tokenizer: Vocabulary, *, follows: bool = False) -> list[int]:
    """Return the ids of a text that may be empty; `follows`: it stands behind another text."""
    if not text:
        return []
    return tokenizer.encode_on(text) if follows else tokenizer.encode(text)


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return the texts between holes and the marks of the holes; a backslash before a mark makes it text."""
    texts, marks, end = [""], [], 0
    for found in _HOLE.finditer(text):
        slashes, mark = found.groups()
        texts[-1] += text[end : found.start()] + "\\" * (len(slashes) // 2)
        end = found.end()
        if len(slashes) % 2:
            texts[-1] += mark
        else:
            marks.append(mark)
            texts.append("")
    texts[-1] += text[end:]
    return texts, marks


def _sizes(mark: str, most: int) -> tuple[int, int]:
    if mark == "[M]":
        return 1, most
    found = _SIZES.fullmatch(mark)
    if not found:
        raise RequestError(
            f"cannot read the hole {mark:.40}; write [M], [M:4] or [M:2-5], or \\{mark:.40} for the text"
        )
    least, longest = int(found[1]), int(found[2] or found[1])
    if not 0 <= least <= longest or longest == 0:
        raise RequestError(f"the hole {mark} has room for nothing; write [M:4], or [M:2-5] for two to five tokens")
    return least, longest
