"""Templates: fixed text, choices, and holes whose length is counted in tokens, words or syllables.

Template(parts=("There is a", Hole(most=4), "next to", Choice(options=("a tree", "a house")), "."))

The parts are joined by what stands between them: a space, but none before punctuation or around a newline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lavida.constrain.match import fits
from lavida.constrain.parts import PAUSES, STOPS, Choice, Hole, Part, gap_between
from lavida.constrain.token_nfa import Net, Table
from lavida.constrain.tokens import TokenAutomaton
from lavida.constrain.words import Inventory, inventory_of, is_word
from lavida.errors import RequestError
from lavida.text.syllables import count_syllables, syllable_table
from lavida.text.tokenizer import Vocabulary

LONGEST = 256  # tokens of a text that a canvas is sized for


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
            _add(net, inventory, at, part, end, gap=gap_between(before, part, first=place == 0))
            at = end
        table = net.table(start, at)
        if not table.accepting.any():
            raise RequestError("no text of this model's words fits the template; loosen a hole")
        return table

    def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
        """The same as `table`, as constraints take it."""
        table = self.table(vocabulary)
        return TokenAutomaton.from_moves(table.classes, table.moves, table.accepting)

    def verify(self, answer: str) -> None:
        """Raises RuntimeError for a text that is not of this template, which is a fault of this package."""
        if not fits(self.parts, answer):
            raise RuntimeError(f"an answer broke its template, which is a fault of lavida: {answer!r}")

    def room(self, vocabulary: Vocabulary) -> int:
        """Tokens of a canvas that holds the longest text of this template and its end. Raises RequestError."""
        lengths = self.table(vocabulary).lengths(LONGEST)
        if not lengths:
            raise RequestError(f"no text of the template is as short as {LONGEST} tokens; take out some parts")
        return lengths[-1] + 1


@lru_cache(maxsize=16)
def _table(template: Template, vocabulary: Vocabulary) -> Table:
    return template._build(vocabulary)


def _add(net: Net, inventory: Inventory, start: int, part: Part, end: int, *, gap: tuple[str, ...]) -> None:
    if isinstance(part, Hole):
        add = _tokens if part.measure == "tokens" else _words
        add(net, inventory, start, part, end, gap)
        return
    for text in (part,) if isinstance(part, str) else part.options:
        for space in gap:
            _literal(net, inventory, start, space + text.strip(" "), end)


def _literal(net: Net, inventory: Inventory, start: int, text: str, end: int) -> None:
    """Every spelling of a text."""
    data = text.encode()
    if not data:
        net.skip(start, end)
    states = [start, *(net.state() for _ in data[1:]), end]  # at each byte
    for at, to, token in inventory.pieces(data):
        net.link(states[at], net.label([token]), states[to])


def _tokens(net: Net, inventory: Inventory, start: int, hole: Hole, end: int, gap: tuple[str, ...]) -> None:
    """Plain tokens, counted; the first of them spell the hole's start."""
    free = [net.state() for _ in range(hole.most + 1)]  # by tokens read, the start behind them
    plain = net.label(inventory.plain)
    for count, (here, after) in enumerate(zip(free, free[1:])):
        net.link(here, plain, after)
        if count + 1 >= hole.least:
            net.skip(after, end)
    for space in gap:
        data = (space + hole.start).encode()
        if not data:
            net.skip(start, free[0])
            continue
        pieces = inventory.pieces(data)
        beyond = [net.label(inventory.overshooting(data[at:])) for at in range(len(data))]
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
                    net.link(here, net.label([token]), states[key])


def _words(net: Net, inventory: Inventory, start: int, hole: Hole, end: int, gap: tuple[str, ...]) -> None:
    """Words of the dictionary and punctuation, measured; the first ones spell the hole's start."""
    sizes = {count: count if hole.measure == "syllables" else 1 for count in inventory.words}
    after = [net.state() for _ in range(hole.most + 1)]  # by words or syllables read
    paused = [net.state() for _ in after]
    final = net.state()
    words = {count: net.label(ids) for count, ids in inventory.words.items()}
    pauses, stops = net.label(inventory.marks(PAUSES)), net.label(inventory.marks(STOPS))
    for read, here in enumerate(after):
        for syllables, label in words.items():
            if (to := read + sizes[syllables]) <= hole.most:
                net.link(here, label, after[to])
                net.link(paused[read], label, after[to])
        if read:
            net.link(here, pauses, paused[read])
        if read >= hole.least:
            net.skip(here, final)
    net.skip(final, end)
    net.link(final, stops, end)
    if not hole.start:
        net.skip(start, after[0])
    for opening, size in _openings(hole, inventory):
        if size <= hole.most:
            net.spell(start, inventory.spelling(opening), after[size])


def _openings(hole: Hole, inventory: Inventory) -> list[tuple[str, int]]:
    """Beginnings of a hole and their sizes: its start as it is, if that is a word, and its last word gone on with.

    Raises RequestError for a word that the dictionary does not know, or letters that no known word begins with.
    """
    if not hole.start:
        return []
    *whole, last = hole.start.split()
    said = count_syllables(" ".join(whole))
    if said is None:
        raise RequestError(f"the dictionary does not know a word of {hole.start!r}; measure the hole in tokens")
    ends = {last + word[len(last) :]: count for word, count in inventory.names if word.startswith(last.lower())}
    if is_word(last.lower()):
        ends[last] = syllable_table()[last.lower()]
    if not ends:
        raise RequestError(f"no word that this model knows begins with {last!r}; choose other letters")
    by_syllables = hole.measure == "syllables"
    return [(" ".join((*whole, end)), said + n if by_syllables else len(whole) + 1) for end, n in ends.items()]


__all__ = ["Choice", "Hole", "Template"]
