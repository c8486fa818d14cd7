"""Revise a text: words that the image makes unlikely are masked and written anew.

A word is doubtful if another one is much likelier at its place. It is masked, alone and with the word before it (so
that "a cat" may become "an owl"), and filled in as a hole of unknown length. The new text is taken only if the model
finds it likelier as a whole than before; so a revision never makes a text less likely, and it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from typing import Any

from lavida.decode.prompt import Prompt
from lavida.edit.audit import ids_of, token_scores, word_spans
from lavida.edit.infill import Candidate, InfillOptions, Search, check_bidirectional, check_names
from lavida.errors import check_range
from lavida.text.holes import Hole, Holed

_LONGER = 2  # tokens that a hole may take more than the words that stood there


@dataclass(frozen=True, kw_only=True)
class ReviseOptions:
    """Hold the choices of a revision, validated; RequestError names the field and its range."""

    doubt: float = 2.0  # nats by which another word must be likelier for one to be masked
    gain: float = 0.5  # nats by which the whole text must become likelier for a change to be taken
    changes: int = 8  # at most
    length: int = 16  # the shortest canvas

    def __post_init__(self) -> None:
        for name, least, largest in (("doubt", 0, 100), ("gain", 0, 100), ("changes", 1, 100), ("length", 1, 4096)):
            check_range(name, getattr(self, name), least, largest, whole=name in ("changes", "length"))


@dataclass(frozen=True, kw_only=True)
class Change:
    """Hold words that gave way to others; either may be empty."""

    start: int  # of `old` in the old text's words
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Revision:
    """Hold a text before and after."""

    old: str
    new: str
    changes: tuple[Change, ...]
    gain: float  # in log-likelihood of the whole text, estimated, nats


def revise(prompt: Prompt, text: str, **options: Any) -> Revision:
    """Revise a text.

    Args:
        prompt: The question that the text answers, and the image.
        text: Must not be empty.
        **options: The fields of `ReviseOptions`.

    Raises:
        RequestError: The text is empty, an option is wrong, or the model writes left to right.
    """
    check_names(options, [f.name for f in fields(ReviseOptions)])
    chosen, ids = ReviseOptions(**options), ids_of(text, prompt)
    check_bidirectional(prompt.net)
    return revise_ids(prompt, ids, chosen)


def revise_ids(prompt: Prompt, ids: Sequence[int], options: ReviseOptions) -> Revision:
    """Revise a text that is tokens already; as `revise`."""
    # One length for all canvases, so that all texts are scored under the same masks.
    length = max(options.length, len(ids) + 2 * _LONGER + 1)
    old = now = _whole(prompt, ids, length)
    for _ in range(options.changes):
        doubtful = _doubtful(prompt, now, options.doubt, length)
        rewritten = (_rewritten(prompt, now, *span, options.gain, length) for span in doubtful)
        better = next(filter(None, rewritten), None)
        if better is None:
            break
        now = better
    decode = prompt.vocabulary.decode
    before, after = decode(old.body), decode(now.body)
    return Revision(old=before, new=after, changes=tuple(changes_between(before, after)), gain=now.value - old.value)


def changes_between(old: str, new: str) -> list[Change]:
    """Return the words in which two texts differ."""
    a, b = old.split(), new.split()
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return [Change(start=i, old=" ".join(a[i:j]), new=" ".join(b[k:n])) for tag, i, j, k, n in blocks if tag != "equal"]


def _doubtful(prompt: Prompt, now: Candidate, doubt: float, length: int) -> list[tuple[int, int]]:
    """Return (start, stop) of the words to mask, the most doubtful first; punctuation is left alone."""
    tokens = [prompt.vocabulary.token(i) for i in now.body]
    spans = word_spans(tokens)
    own, _, best = token_scores(prompt, now.body, spans, length=length)
    regret = {span: (best - own)[slice(*span)].max().item() for span in spans}
    wordy = [span for span in spans if any(c.isalnum() for c in "".join(tokens[slice(*span)]))]
    return sorted((span for span in wordy if regret[span] > doubt), key=lambda span: -regret[span])


def _rewritten(prompt: Prompt, now: Candidate, start: int, stop: int, gain: float, length: int) -> Candidate | None:
    """Return the likeliest text with other words from `start` to `stop`, if it is likelier by `gain`."""
    before = [span for span in word_spans([prompt.vocabulary.token(i) for i in now.body]) if span[1] == start]
    tries = []
    for first in {start, *(span[0] for span in before)}:
        holed = _masked(prompt, now.body, first, stop, length)
        tries.append(Search(prompt, holed, InfillOptions(length=length)).by_likelihood())
    best = max(tries, key=lambda one: one.value)
    return best if best.value > now.value + gain else None


def _masked(prompt: Prompt, body: Sequence[int], start: int, stop: int, length: int) -> Holed:
    """Return a text with one hole that fits into the canvas; its pieces are given by their ids alone."""
    spaced = prompt.vocabulary.token(body[start]).startswith(" ")
    spare = length - len(body) - 1
    hole = Hole(least=1, most=stop - start + min(_LONGER, spare), spaced=spaced)
    return Holed(texts=("", ""), holes=(hole,), ids=(tuple(body[:start]), tuple(body[stop:])))


def _whole(prompt: Prompt, ids: Sequence[int], length: int) -> Candidate:
    holed = Holed(texts=("",), holes=(), ids=(tuple(ids),))
    return Search(prompt, holed, InfillOptions(length=length)).by_likelihood()
