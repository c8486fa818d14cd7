"""Find in a prompt the names of things that evidence can speak of, in any language of the model.

The names lie in `names.json` of a model folder: the words for each, and which classes of the tower and things of the
detector are called so ("animal" is all that are animals).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lavida.errors import CheckpointError
from lavida.text.tokenizer import Vocabulary

NAMES = "names.json"
MAIN = -1  # in place of a name: whatever the picture shows above all
PHRASE = 4  # words of the longest name in a language that is written with spaces
_WORD = re.compile(r"[a-z][a-z'-]*")
_BROKEN = "\ufffd"  # what a part of a character is decoded as
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, kw_only=True)
class Name:
    """Hold the words for one sort of thing and what evidence calls so.

    Args:
        words: In lower case, singular and plural, of all languages.
        classes: Classes of the tower.
        things: Things of the detector.
    """

    words: tuple[str, ...]
    classes: tuple[int, ...]
    things: tuple[int, ...]


class NameFinder:
    """Find names in token ids; the longest counts where several begin."""

    def __init__(self, names: Sequence[Name], tokenizer: Vocabulary) -> None:
        self.names = tuple(names)
        self._index: dict[str, int] = {}
        for i, name in enumerate(names):
            for word in name.words:
                self._index.setdefault(word.lower(), i)
        self._longest = max((len(w) for w in self._index if _UNSPACED.match(w)), default=0)
        self._token = lru_cache(maxsize=1 << 16)(tokenizer.token)
        self._decode = lru_cache(maxsize=1 << 12)(lambda ids: tokenizer.decode(ids, exact=True))

    def find(self, ids: Sequence[int]) -> list[tuple[slice, int]]:
        """Return the names in token ids as (places, number of the name), in order; ids below 0 are no text."""
        text, places = "", list[slice]()  # the tokens of each character
        at = 0
        while at < len(ids):
            piece, length = self._piece(ids, at)
            text += piece
            places += [slice(at, at + length)] * len(piece)
            at += length
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
        return [(slice(places[start].start, places[end - 1].stop), name) for start, end, name in self.spans(lower)]

    def _piece(self, ids: Sequence[int], at: int) -> tuple[str, int]:
        """Return the text of a token, or of the few that make up one character, and how many these are."""
        if ids[at] < 0:
            return "\n", 1
        piece = self._token(ids[at])
        if _BROKEN in piece:
            for length in (2, 3, 4):
                run = tuple(ids[at : at + length])
                whole = self._decode(run) if min(run) >= 0 else _BROKEN
                if whole and _BROKEN not in whole:
                    return whole, length
        return piece, 1

    def spans(self, text: str) -> list[tuple[int, int, int]]:
        """Return (start, end, number of the name) for each name in a text of lower case."""
        found: list[tuple[int, int, int]] = []
        at = 0
        while at < len(text):
            if _UNSPACED.match(text[at]):
                hit = self._unspaced(text, at)
                if hit is not None:
                    found.append((at, *hit))
                at = hit[0] if hit is not None else at + 1
            elif (word := _WORD.match(text, at)) is not None:
                hit = self._phrase(text, at)
                if hit is not None:
                    found.append((at, *hit))
                at = hit[0] if hit is not None else word.end()
            else:
                at += 1
        return found

    def _unspaced(self, text: str, at: int) -> tuple[int, int] | None:
        for length in range(min(self._longest, len(text) - at), 0, -1):
            name = self._index.get(text[at : at + length])
            if name is not None:
                return at + length, name
        return None

    def _phrase(self, text: str, at: int) -> tuple[int, int] | None:
        """Return the end and number of the longest name that begins at a word."""
        ends: list[int] = []
        end = at
        while len(ends) < PHRASE and (word := _WORD.match(text, end)) is not None:
            ends.append(word.end())
            end = word.end() + 1  # behind a space
            if text[word.end() : end] != " ":
                break
        for end in reversed(ends):
            name = self._index.get(text[at:end].removesuffix("'s"))
            if name is not None:
                return end, name
        return None


def mentions(finder: NameFinder, ids: Sequence[int], user: int) -> list[tuple[slice, int]]:
    """Return the names in a prompt as (places, number), and MAIN at each beginning of a user's turn."""
    turns = [(slice(place, place + 1), MAIN) for place, i in enumerate(ids) if i == user]
    return turns + finder.find(ids)


def load_names(folder: Path) -> list[Name] | None:
    """Return the names of a model folder, None if it has none. Raises CheckpointError for a file that is damaged."""
    path = folder / NAMES
    if not path.is_file():
        return None
    try:
        return [
            Name(words=tuple(map(str, words)), classes=tuple(map(int, classes)), things=tuple(map(int, things)))
            for words, classes, things in json.loads(path.read_bytes())
        ]
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path} ({error!r}); take the file that belongs to the model") from None


def save_names(names: Sequence[Name], folder: Path) -> None:
    """Write the file that `load_names` reads, a name a line."""
    rows = [json.dumps([n.words, n.classes, n.things], ensure_ascii=False, separators=(",", ":")) for n in names]
    (folder / NAMES).write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
