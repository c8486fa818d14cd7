"""An old text, mended: words that the picture makes unlikely are masked and written anew.

A word is doubted if another one is much likelier at its place. It is masked, alone and with the word before it (so that
"a cat" may become "an owl"), and filled in as a hole of unknown length. What comes of it is taken only if the model
finds the whole text likelier than before; so a revision never makes a text less likely, and it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from lavida.edit.audit import token_scores, word_spans
from lavida.edit.infill import InfillOptions, Search, Try
from lavida.edit.reading import Reading
from lavida.errors import RequestError
from lavida.text.holes import Hole, Holed

_LONGER = 2  # tokens that a hole may take more than the words that stood there


@dataclass(frozen=True, kw_only=True)
class ReviseOptions:
    """Validated on construction; RequestError names the field and its range."""

    doubt: float = 2.0  # nats by which another word must be likelier for one to be masked
    gain: float = 0.5  # nats by which the whole text must become likelier for a change to be taken
    changes: int = 8  # at most
    length: int = 16  # the shortest canvas

    def __post_init__(self) -> None:
        for name, least, largest in (("doubt", 0, 100), ("gain", 0, 100), ("changes", 1, 100), ("length", 1, 4096)):
            value = getattr(self, name)
            if not least <= value <= largest:
                raise RequestError(f"{name} must be {least} to {largest}, got {value}")


@dataclass(frozen=True, kw_only=True)
class Change:
    """Words that gave way to others; either may be empty."""

    start: int  # of `old` in the old text's words
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A text before and after."""

    old: str
    new: str
    changes: tuple[Change, ...]
    gain: float  # in log-likelihood of the whole text, estimated, nats


def revise_ids(reading: Reading, ids: Sequence[int], options: ReviseOptions) -> Revision:
    """Revise a text of the given tokens with a model that sees both sides of a gap."""
    # One length for all canvases, so that all texts are held against the same masks.
    reading = replace(reading, length=max(reading.length, len(ids) + 2 * _LONGER + 1))
    old = now = _whole(reading, ids)
    for _ in range(options.changes):
        rewritten = (_rewritten(reading, now, *span, options.gain) for span in _doubted(reading, now, options.doubt))
        better = next(filter(None, rewritten), None)
        if better is None:
            break
        now = better
    decode = reading.tokenizer.decode
    before, after = decode(old.body), decode(now.body)
    return Revision(old=before, new=after, changes=tuple(changes_between(before, after)), gain=now.value - old.value)


def changes_between(old: str, new: str) -> list[Change]:
    """The words that differ."""
    a, b = old.split(), new.split()
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return [Change(start=i, old=" ".join(a[i:j]), new=" ".join(b[k:n])) for tag, i, j, k, n in blocks if tag != "equal"]


def _doubted(reading: Reading, now: Try, doubt: float) -> list[tuple[int, int]]:
    """(start, stop) of the words to mask, the most doubtful first; punctuation is left alone."""
    tokens = [reading.tokenizer.token(i) for i in now.body]
    spans = word_spans(tokens)
    own, _, best = token_scores(reading, now.body, spans)
    regret = {span: (best - own)[slice(*span)].max().item() for span in spans}
    wordy = [span for span in spans if any(c.isalnum() for c in "".join(tokens[slice(*span)]))]
    return sorted((span for span in wordy if regret[span] > doubt), key=lambda span: -regret[span])


def _rewritten(reading: Reading, now: Try, start: int, stop: int, gain: float) -> Try | None:
    """The likeliest text with other words from `start` to `stop`, if it is likelier by `gain`."""
    before = [span for span in word_spans([reading.tokenizer.token(i) for i in now.body]) if span[1] == start]
    tries = []
    for first in {start, *(span[0] for span in before)}:
        holed = _masked(reading, now.body, first, stop)
        tries.append(Search(reading, holed, InfillOptions(length=reading.length)).by_likelihood())
    best = max(tries, key=lambda one: one.value)
    return best if best.value > now.value + gain else None


def _masked(reading: Reading, body: Sequence[int], start: int, stop: int) -> Holed:
    """A text with one hole, which the canvas has room for; its pieces are told by their ids alone."""
    spaced = reading.tokenizer.token(body[start]).startswith(" ")
    spare = reading.length - len(body) - 1
    hole = Hole(least=1, most=stop - start + min(_LONGER, spare), spaced=spaced)
    return Holed(texts=("", ""), holes=(hole,), ids=(tuple(body[:start]), tuple(body[stop:])))


def _whole(reading: Reading, ids: Sequence[int]) -> Try:
    holed = Holed(texts=("",), holes=(), ids=(tuple(ids),))
    return Search(reading, holed, InfillOptions(length=reading.length)).by_likelihood()
