"""Hold an answer to a template: fixed text, choices, and holes whose length is counted, such as the lines of a poem.

Template(parts=("There is a", Hole(most=4), "next to", Choice(options=("a tree", "a house")), "."))

The parts are joined by a space, but by none before punctuation or around a newline. Lengths are counted in tokens,
words or syllables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from lavida.constrain.tokens import TokenAutomaton, TokenNfa
from lavida.constrain.words import Lexicon, is_word
from lavida.errors import RequestError
from lavida.text.syllables import count_syllables, syllable_table
from lavida.text.tokenizer import Vocabulary

LONGEST = 256  # tokens of a text that a canvas is sized for
MOST_COUNTED = 1024  # tokens, words or syllables of a hole: more than a canvas holds
MOST_PARTS, MOST_LINES = 256, 128
MEASURES = ("tokens", "words", "syllables")
_PAUSES, _STOPS = ",", ".!?"  # after any word of a hole, and after the last one
_CLOSING = ".,;:!?)\n"  # no space stands before these


@dataclass(frozen=True, kw_only=True)
class Hole:
    """Leave room for `least` to `most` tokens, words or syllables on one line, beginning with the letters `start`.

    Tokens may be anything printable; a hole measured in words or syllables holds words of the pronouncing dictionary
    that the model knows as one token, and punctuation. `start` is kept as it is spelled; its last word may be
    completed.
    """

    least: int = 1
    most: int = 8
    measure: str = "tokens"
    start: str = ""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise RequestError(f"unknown measure {self.measure!r}; choose one of {', '.join(MEASURES)}")
        if not all(type(count) is int for count in (self.least, self.most)):
            raise RequestError(f"a hole is measured in whole numbers, got {self.least!r} to {self.most!r}")
        if not 1 <= self.least <= self.most:
            raise RequestError(f"a hole takes at least 1 and no fewer than its least, got {self.least} to {self.most}")
        if self.least > MOST_COUNTED:
            raise RequestError(f"a hole of {self.least} {self.measure} fits no canvas; {MOST_COUNTED} are the most")
        if not isinstance(self.start, str) or not self.start.isprintable() or self.start != self.start.strip():
            raise RequestError("the start of a hole must be printable text on one line, without spaces around it")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Offer several texts, of which one is written literally."""

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _list_of("options of a choice", self.options))
        if not self.options or not all(isinstance(option, str) and option.strip() for option in self.options):
            raise RequestError("a choice must offer at least one text and no empty one")
        _check_unicode(*self.options)


Part = str | Hole | Choice


@dataclass(frozen=True, kw_only=True)
class Template:
    """Say what an answer must look like, part after part; a `lavida.constrain.language.Language`."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _list_of("parts of a template", self.parts))
        for part in self.parts:
            if not isinstance(part, Part):
                raise RequestError(f"a part of a template is a text, a Hole or a Choice, got {type(part).__name__}")
        _check_unicode(*(part for part in self.parts if isinstance(part, str)))
        if not any(part.strip() if isinstance(part, str) else True for part in self.parts):
            raise RequestError("the template is empty; give at least one text or hole")
        if len(self.parts) > MOST_PARTS:
            raise RequestError(f"the template has {len(self.parts)} parts; {MOST_PARTS} are the most")

    def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the sequences of tokens that spell its texts. Raises RequestError if there are none."""
        return _automaton(self, vocabulary)

    def room(self, vocabulary: Vocabulary) -> int:
        """Return the tokens of a canvas that holds the longest text and its end, up to 256. Raises RequestError."""
        lengths = self.automaton(vocabulary).lengths(LONGEST)
        if not lengths:
            raise RequestError(f"no text of the template is as short as {LONGEST} tokens; take out some parts")
        return lengths[-1] + 1

    def verify(self, answer: str) -> None:
        """Raise RuntimeError for a text that is not of this template, which is a fault of this package."""
        if not fits(self.parts, answer):
            raise RuntimeError(f"an answer broke its template, which is a fault of lavida: {answer!r}")


def _list_of(what: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise RequestError(f"the {what} are a list, got {type(values).__name__}")
    return tuple(values)


def _check_unicode(*texts: str) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise RequestError("a text of the template is not valid Unicode; write it in UTF-8") from None


def _gap(parts: Sequence[Part], place: int) -> tuple[str, ...]:
    """Return what may stand before a part: the answer and each line may begin with a space, as words do."""
    before, part = parts[place - 1], parts[place]
    if place == 0 or (isinstance(before, str) and before.endswith("\n")):
        return ("", " ")
    return ("",) if isinstance(part, str) and part[:1] in tuple(_CLOSING) else (" ",)


def _texts(part: str | Choice) -> list[str]:
    return [text.strip(" ") for text in ((part,) if isinstance(part, str) else part.options)]


_lexicon = lru_cache(maxsize=2)(Lexicon)


@lru_cache(maxsize=16)
def _automaton(template: Template, vocabulary: Vocabulary) -> TokenAutomaton:
    lexicon = _lexicon(vocabulary)
    nfa = TokenNfa(vocabulary.size)
    start = at = nfa.state()
    for place, part in enumerate(template.parts):
        end, gap = nfa.state(), _gap(template.parts, place)
        if not isinstance(part, Hole):
            for text in _texts(part):
                for space in gap:
                    _literal(nfa, lexicon, at, (space + text).encode(), end)
        elif part.measure == "tokens":
            _tokens(nfa, lexicon, at, part, end, gap)
        else:
            _words(nfa, lexicon, at, part, end)
        at = end
    automaton = nfa.automaton(start, at)
    if not len(automaton.final):
        raise RequestError("no text of this model's words fits the template; loosen a hole")
    return automaton


def _literal(nfa: TokenNfa, lexicon: Lexicon, start: int, data: bytes, end: int) -> None:
    """Add every spelling of a text."""
    if not data:
        nfa.skip(start, end)
        return
    states = [start, *(nfa.state() for _ in data[1:]), end]  # at each byte
    for at, to, token in lexicon.pieces(data):
        nfa.link(states[at], nfa.label([token]), states[to])


def _tokens(nfa: TokenNfa, lexicon: Lexicon, start: int, hole: Hole, end: int, gap: tuple[str, ...]) -> None:
    """Add plain tokens, counted; the first of them spell the hole's start."""
    most = min(hole.most, MOST_COUNTED)
    free = [nfa.state() for _ in range(most + 1)]  # by tokens read, the start behind them
    plain = nfa.label(lexicon.plain)
    for count, (before, after) in enumerate(zip(free, free[1:])):
        nfa.link(before, plain, after)
        if count + 1 >= hole.least:
            nfa.skip(after, end)
    for space in gap:
        data = (space + hole.start).encode()
        if not data:
            nfa.skip(start, free[0])
            continue
        pieces = lexicon.pieces(data)
        beyond = [nfa.label(lexicon.overshooting(data[at:])) for at in range(len(data))]
        states = {(0, 0): start}
        for count in range(min(most, len(data))):
            for at in range(len(data)):
                here = states.get((count, at))
                if here is None:
                    continue
                nfa.link(here, beyond[at], free[count + 1])
                for _, to, token in (piece for piece in pieces if piece[0] == at):
                    key = (count + 1, to)
                    if to == len(data) and hole.start:
                        states[key] = free[count + 1]
                    elif to == len(data):  # the space alone is no text yet
                        states[key] = nfa.state()
                        if count + 2 <= most:
                            nfa.link(states[key], plain, free[count + 2])
                    elif key not in states:
                        states[key] = nfa.state()
                    nfa.link(here, nfa.label([token]), states[key])


def _words(nfa: TokenNfa, lexicon: Lexicon, start: int, hole: Hole, end: int) -> None:
    """Add words of the dictionary and punctuation, measured; the first ones spell the hole's start."""
    most = min(hole.most, MOST_COUNTED)
    by_size: dict[int, list[int]] = {}
    for _, syllables, token in lexicon.words:
        by_size.setdefault(syllables if hole.measure == "syllables" else 1, []).append(token)
    after = [nfa.state() for _ in range(most + 1)]  # by words or syllables read
    paused = [nfa.state() for _ in after]
    final = nfa.state()
    words = {size: nfa.label(ids) for size, ids in by_size.items()}
    pauses, stops = nfa.label(lexicon.marks(_PAUSES)), nfa.label(lexicon.marks(_STOPS))
    for read, here in enumerate(after):
        for size, label in words.items():
            if read + size <= most:
                nfa.link(here, label, after[read + size])
                nfa.link(paused[read], label, after[read + size])
        if read:
            nfa.link(here, pauses, paused[read])
        if read >= hole.least:
            nfa.skip(here, final)
    nfa.skip(final, end)
    nfa.link(final, stops, end)
    if not hole.start:
        nfa.skip(start, after[0])
    for opening, size in _openings(hole, lexicon):
        if size <= most:
            nfa.spell(start, lexicon.spelling(opening), after[size])


def _openings(hole: Hole, lexicon: Lexicon) -> list[tuple[str, int]]:
    """Return beginnings of a hole and their sizes: its start with the last word completed, or as it is if a word.

    Raises RequestError for a word that the dictionary does not know, or letters that no known word begins with.
    """
    if not hole.start:
        return []
    *whole, last = hole.start.split()
    counted = count_syllables(" ".join(whole))
    if counted is None:
        raise RequestError(f"the dictionary does not know a word of {hole.start!r}; measure the hole in tokens")
    ends = {last + word[len(last) :]: count for word, count, _ in lexicon.words if word.startswith(last.lower())}
    if is_word(last.lower()):
        ends[last] = syllable_table()[last.lower()]
    if not ends:
        raise RequestError(f"no word that this model knows begins with {last!r}; choose other letters")
    by_syllables = hole.measure == "syllables"
    return [(" ".join((*whole, end)), counted + n if by_syllables else len(whole) + 1) for end, n in ends.items()]


def fits(parts: Sequence[Part], text: str) -> bool:
    """Tell whether the parts follow each other in a text; the tokens it was written in are not looked at."""

    @cache
    def behind(place: int, at: int) -> bool:
        """Tell whether the parts from `place` on make up the text from `at` on."""
        if place == len(parts):
            return at == len(text)
        part = parts[place]
        for gap in _gap(parts, place):
            if text.startswith(gap, at) and any(behind(place + 1, end) for end in _ends(part, text, at + len(gap))):
                return True
        return False

    return behind(0, 0)


def _ends(part: Part, text: str, at: int) -> list[int]:
    """Return where a part that begins at `at` may end."""
    if isinstance(part, Hole):
        line = text.find("\n", at)
        return [end for end in range(at + 1, (len(text) if line < 0 else line) + 1) if _fills(part, text[at:end])]
    return [at + len(one) for one in _texts(part) if text.startswith(one, at)]


def _fills(hole: Hole, text: str) -> bool:
    if not (text.isprintable() and text.startswith(hole.start)):
        return False
    if hole.measure == "tokens":  # of which one text may have few or many; the space before it may be one
        return len(text.encode()) + 1 >= hole.least
    words = text.rstrip(_STOPS).split(" ")
    if not all(word.rstrip(_PAUSES).isalpha() for word in words):
        return False
    count = count_syllables(text) if hole.measure == "syllables" else len(words)
    return count is not None and hole.least <= count <= hole.most


def poem(
    starts: Sequence[str] = (),
    *,
    acrostic: str | None = None,
    syllables: Sequence[int] | None = None,
    words: tuple[int, int] | None = None,
    tokens: tuple[int, int] | None = None,
    lines: int | None = None,
) -> Template:
    """Build a template of one hole a line.

    Args:
        starts: The letters that each line begins with; a single one holds for all lines.
        acrostic: A word whose letters the lines begin with.
        syllables: The syllables of each line; a single number holds for all lines.
        words: The least and the most words of a line; 4 to 8 unless another measure is given.
        tokens: The least and the most tokens of a line.
        lines: The number of lines, if nothing else tells it.

    Raises:
        RequestError: The numbers do not agree.
    """
    if acrostic is not None:
        if starts:
            raise RequestError("an acrostic says how each line begins; leave out the starts")
        starts = [letter.upper() for letter in acrostic if letter.isalpha()]
    given = {name: n for name, n in (("syllables", syllables), ("words", words), ("tokens", tokens)) if n}
    if len(given) > 1:
        raise RequestError("a line is measured in syllables, in words or in tokens; choose one")
    measure, length = next(iter(given.items()), ("words", (4, 8)))
    if not isinstance(length, Sequence) or (measure != "syllables" and len(length) != 2):
        raise RequestError(f"the length of a line is its least and its most, such as (4, 8), got {length!r}")
    bounds = [(count, count) for count in length] if measure == "syllables" else [tuple(length)]
    counts = {len(each) for each in (starts, bounds) if len(each) > 1}
    number = max([1, *counts]) if lines is None else lines
    if counts - {number}:
        raise RequestError(f"a poem of {number} lines, and {min(counts - {number})} given; make them equal")
    if type(number) is not int or not 1 <= number <= MOST_LINES:
        raise RequestError(f"a poem of {number} lines fits no canvas; give 1 to {MOST_LINES}")
    parts: list[Part] = []
    for line in range(number):
        least, most = bounds[line % len(bounds)]
        start = starts[line % len(starts)] if starts else ""
        parts += ["\n"] * (line > 0) + [Hole(measure=measure, least=least, most=most, start=start)]
    return Template(parts=tuple(parts))
