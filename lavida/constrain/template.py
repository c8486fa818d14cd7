"""Templates: fixed text, choices, and holes whose length is counted in tokens, words or syllables.

Template(parts=("There is a", Hole(most=4), "next to", Choice(options=("a tree", "a house")), "."))

The parts are joined by what stands between them: a space, but none before punctuation or around a newline.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from lavida.constrain.nets import Net, Table
from lavida.errors import RequestError
from lavida.text.spelling import spell
from lavida.text.syllables import syllable_table
from lavida.text.tokenizer import Vocabulary

MEASURES = ("tokens", "words", "syllables")
PAUSES, STOPS = (",",), (".", "!", "?")  # after any word, and after the last one of a hole
LONGEST = 256  # tokens of a text that a canvas is sized for
# The dictionary holds letters and abbreviations too, which are pieces of other words in a vocabulary.
_SHORT = frozenset("a am an as at be by do go he hi if in is it me my no of oh on or ox so to up us we".split())
_CLOSING = ".,;:!?)\n"  # no space stands before these


@dataclass(frozen=True, kw_only=True)
class Hole:
    """`least` to `most` tokens, words or syllables, beginning with the letters `start`, on one line.

    Tokens may be anything printable; a hole measured in words or syllables holds words of the pronouncing dictionary
    that the model knows as one token, and punctuation. `start` is text in its own spelling; its last word may go on.
    """

    least: int = 1
    most: int = 8
    measure: str = "tokens"
    start: str = ""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise RequestError(f"unknown measure {self.measure!r}; choose one of {', '.join(MEASURES)}")
        if not 1 <= self.least <= self.most:
            raise RequestError(f"a hole takes at least 1 and no fewer than its least, got {self.least} to {self.most}")
        if not self.start.isprintable():
            raise RequestError("the start of a hole must be printable text on one line")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of several texts, literally."""

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.options or not all(option.strip() for option in self.options):
            raise RequestError("a choice must offer at least one text and no empty one")


Part = str | Hole | Choice


@dataclass(frozen=True, kw_only=True)
class Template:
    """What an answer must look like, part after part."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not any(part.strip() if isinstance(part, str) else True for part in self.parts):
            raise RequestError("the template is empty; give at least one text or hole")

    def table(self, vocabulary: Vocabulary) -> Table:
        """The automaton over the tokens of a model, kept for the next time. Raises RequestError if no text fits."""
        return _table(self, vocabulary)

    def _build(self, vocabulary: Vocabulary) -> Table:
        inventory = inventory_of(vocabulary)
        net = Net(vocabulary.size)
        start = at = net.state()
        for place, part in enumerate(self.parts):
            end = net.state()
            before = self.parts[place - 1] if place else ""
            _add(net, inventory, at, part, end, gap=_gap(before, part, first=place == 0))
            at = end
        table = net.table(start, at)
        if not table.accepting.any():
            raise RequestError("no text of this model's words fits the template; loosen a hole")
        return table

    def room(self, vocabulary: Vocabulary) -> int:
        """Tokens of a canvas that holds the longest text of this template and its end. Raises RequestError."""
        lengths = self.table(vocabulary).lengths(LONGEST)
        if not lengths:
            raise RequestError(f"no text of the template is as short as {LONGEST} tokens; take out some parts")
        return lengths[-1] + 1


class Inventory:
    """A vocabulary as bytes, and the words in it that the pronouncing dictionary knows."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        spelling = spell(vocabulary)
        self.bytes = [spelling.bytes_of(i) for i in range(spelling.size)]  # none of special tokens
        self.plain = np.array([i for i, data in enumerate(self.bytes) if data and _is_plain(data)])
        self._by_first: dict[int, list[int]] = defaultdict(list)
        for i, data in enumerate(self.bytes):
            if data:
                self._by_first[data[0]].append(i)

    @cached_property
    def words(self) -> dict[int, np.ndarray]:
        """Syllables -> the tokens that are a whole lower-case word of so many, a space before it."""
        table, found = syllable_table(), defaultdict(list)
        for i, data in enumerate(self.bytes):
            word = data[1:].decode("ascii", "replace") if data[:1] == b" " else ""
            if word in table and (len(word) > 2 or word in _SHORT):
                found[table[word]].append(i)
        return {count: np.array(ids) for count, ids in found.items()}

    @cached_property
    def names(self) -> list[tuple[str, int]]:
        """The words of `words` as text, with their syllables."""
        return [(self.bytes[i][1:].decode(), count) for count, ids in self.words.items() for i in ids.tolist()]

    def marks(self, signs: Iterable[str]) -> list[int]:
        """The tokens that are one of these signs."""
        wanted = {sign.encode() for sign in signs}
        return [i for i, data in enumerate(self.bytes) if data in wanted]

    def pieces(self, text: bytes) -> list[tuple[int, int, int]]:
        """(from, to, token) for each token that spells a part of a text."""
        return [
            (at, at + len(data), token)
            for at in range(len(text))
            for token in self._by_first[text[at]]
            if text.startswith(data := self.bytes[token], at)
        ]

    def overshooting(self, rest: bytes) -> list[int]:
        """Plain tokens that begin with `rest` and are longer."""
        return [i for i in self.plain.tolist() if self.bytes[i].startswith(rest) and len(self.bytes[i]) > len(rest)]

    def spelling(self, text: str) -> list[int]:
        """A text as this tokenizer writes it, a space before it."""
        return self._vocabulary.encode(text if self._vocabulary.adds_space else " " + text)


@lru_cache(maxsize=16)
def _table(template: Template, vocabulary: Vocabulary) -> Table:
    return template._build(vocabulary)


@lru_cache(maxsize=2)
def inventory_of(vocabulary: Vocabulary) -> Inventory:
    """The inventory of a vocabulary, kept for the next template."""
    return Inventory(vocabulary)


def _is_plain(data: bytes) -> bool:
    try:
        return data.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _gap(before: Part, part: Part, *, first: bool) -> tuple[str, ...]:
    """What may stand between two parts: the answer and each line may begin with a space, as words do."""
    if first or (isinstance(before, str) and before.endswith("\n")):
        return ("", " ")
    text = part if isinstance(part, str) else ""
    return ("",) if text[:1] and text[0] in _CLOSING else (" ",)


def _add(net: Net, inventory: Inventory, start: int, part: Part, end: int, *, gap: tuple[str, ...]) -> None:
    if isinstance(part, Hole):
        add = _tokens if part.measure == "tokens" else _words
        add(net, inventory, start, part, end, gap)
        return
    for text in (part,) if isinstance(part, str) else part.options:
        for space in gap:
            _literal(net, inventory, start, space + text.strip(" "), end)


def _literal(net: Net, inventory: Inventory, start: int, text: str, end: int) -> list[int]:
    """Every spelling of a text; returns the states at its bytes."""
    data = text.encode()
    states = [start, *(net.state() for _ in data[1:]), end] if data else [start]
    if not data:
        net.skip(start, end)
    for at, to, token in inventory.pieces(data):
        net.link(states[at], [token], states[to])
    return states


def _tokens(net: Net, inventory: Inventory, start: int, hole: Hole, end: int, gap: tuple[str, ...]) -> None:
    """Plain tokens, counted; the first of them spell the hole's start."""
    free = [net.state() for _ in range(hole.most + 1)]  # by tokens read, the start behind them
    for count, (here, after) in enumerate(zip(free, free[1:])):
        net.link(here, inventory.plain, after)
        if count + 1 >= hole.least:
            net.skip(after, end)
    for space in gap:
        data = (space + hole.start).encode()
        if not data:
            net.skip(start, free[0])
            continue
        pieces = inventory.pieces(data)
        beyond = {at: inventory.overshooting(data[at:]) for at in range(len(data))}
        states = {(0, 0): start}
        for count in range(min(hole.most, len(data))):
            for at in range(len(data)):
                here = states.get((count, at))
                if here is None:
                    continue
                net.link(here, beyond[at], free[count + 1])
                for _, to, token in (piece for piece in pieces if piece[0] == at):
                    key = (count + 1, to)
                    if to == len(data):
                        states[key] = free[count + 1]
                    elif key not in states:
                        states[key] = net.state()
                    net.link(here, [token], states[key])


def _words(net: Net, inventory: Inventory, start: int, hole: Hole, end: int, gap: tuple[str, ...]) -> None:
    """Words of the dictionary and punctuation, measured; the first ones spell the hole's start."""
    weigh = (lambda syllables: syllables) if hole.measure == "syllables" else (lambda syllables: 1)
    after = [net.state() for _ in range(hole.most + 1)]  # by words or syllables read
    paused = [net.state() for _ in after]
    final = net.state()
    pauses, stops = inventory.marks(PAUSES), inventory.marks(STOPS)
    for count, here in enumerate(after):
        net.link(here, pauses, paused[count])
        for syllables, ids in inventory.words.items():
            to = count + weigh(syllables)
            if to <= hole.most:
                net.link(here, ids, after[to])
                net.link(paused[count], ids, after[to])
        if count >= hole.least:
            net.skip(here, final)
    net.skip(final, end)
    net.link(final, stops, end)
    if not hole.start.strip():
        net.skip(start, after[0])
        return
    for opening, syllables in _openings(hole, inventory):
        if (to := weigh(syllables) if hole.measure == "syllables" else len(opening.split())) <= hole.most:
            net.spell(start, inventory.spelling(opening), after[to])


def _openings(hole: Hole, inventory: Inventory) -> list[tuple[str, int]]:
    """Beginnings of a hole with their syllables: its start as it is, and its last word gone on with.

    Raises RequestError for a word that the dictionary does not know, or letters that no known word begins with.
    """
    table = syllable_table()
    *whole, last = hole.start.split()
    unknown = [word for word in whole if word.strip(",").lower() not in table]
    if unknown:
        raise RequestError(f"{unknown[0]!r} is not in the pronouncing dictionary; measure the hole in tokens")
    head, said = "".join(f"{word} " for word in whole), sum(table[word.strip(",").lower()] for word in whole)
    ends = {last + word[len(last) :]: count for word, count in inventory.names if word.startswith(last.lower())}
    if last.lower() in table:
        ends[last] = table[last.lower()]
    if not ends:
        raise RequestError(f"no word that this model knows begins with {last!r}; choose other letters")
    return [(head + word, said + count) for word, count in ends.items()]
