"""What in a sentence the picture supports: the log-likelihood of each token with the picture and without it.

A token is held against all the others: its word is hidden, and unless it is the word's first token the ones before it
are shown again, so that the tokens' figures add up to that of the word. An autoregressive model knows only what stands
before a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.edit.reading import Reading


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token of the text that is audited; log-likelihoods in nats."""

    text: str
    seen: float  # with the picture
    blind: float  # without it
    instead: str  # the likeliest token at its place, with the picture
    instead_seen: float  # and how likely that one is

    @property
    def support(self) -> float:
        """What the picture says for it; below 0: against it."""
        return self.seen - self.blind


@dataclass(frozen=True, kw_only=True)
class Word:
    """The tokens of one word; punctuation is a word of its own."""

    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    @property
    def seen(self) -> float:
        return sum(token.seen for token in self.tokens)

    @property
    def blind(self) -> float:
        return sum(token.blind for token in self.tokens)

    @property
    def support(self) -> float:
        return self.seen - self.blind


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A text, word by word."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words).strip()


@torch.no_grad()
def audit_ids(seen: Reading, blind: Reading, ids: Sequence[int]) -> Audit:
    """Audit the tokens of a text under two readings of one question: with the picture and without it."""
    spans = word_spans([seen.tokenizer.token(i) for i in ids])
    with_picture, best, best_value = token_scores(seen, ids, spans)
    without, _, _ = token_scores(blind, ids, spans)
    tokens = [
        Token(
            text=seen.tokenizer.token(i),
            seen=with_picture[k].item(),
            blind=without[k].item(),
            instead=seen.tokenizer.token(int(best[k])),
            instead_seen=best_value[k].item(),
        )
        for k, i in enumerate(ids)
    ]
    return Audit(words=tuple(Word(tokens=tuple(tokens[a:b])) for a, b in spans))


def token_scores(
    reading: Reading, ids: Sequence[int], spans: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-likelihoods [n] of the tokens in `spans` of a text, the likeliest tokens [n] at their places and theirs [n].

    A span's tokens are hidden together and shown again one after the other, so that they add up to the span's figure.
    """
    canvas = reading.canvas(ids)
    places = torch.tensor([i for start, stop in spans for i in range(start, stop)], dtype=torch.long)
    wanted = torch.zeros(len(places), len(canvas), dtype=torch.bool)
    wanted[torch.arange(len(places)), places] = True
    if reading.net.config.denoiser.autoregressive:  # one pass tells all, and it sees only what stands before
        once = wanted.any(0)[None]
        logp = reading.log_probabilities(canvas[None], torch.zeros_like(once), once)
    else:
        ends = torch.tensor([stop for start, stop in spans for _ in range(start, stop)], dtype=torch.long)
        at = torch.arange(len(canvas))
        logp = reading.log_probabilities(
            canvas.expand(len(places), -1), (at >= places[:, None]) & (at < ends[:, None]), wanted
        )
    own = logp.gather(1, canvas[places, None])[:, 0]
    best = logp.index_fill(1, reading.unwritable, -torch.inf).max(1)
    return own, best.indices, best.values


def word_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """(start, stop) of each word: it begins with a space, or where letters and digits meet anything else.

    What is no whole character (a byte of one) goes on the word before it; Chinese characters stand alone.
    """
    starts = [i for i, text in enumerate(tokens) if i == 0 or _begins(tokens[i - 1], text)]
    return list(zip(starts, [*starts[1:], len(tokens)], strict=True))


def _begins(before: str, text: str) -> bool:
    if not text or text[0] == "\ufffd" or not before.strip():
        return False
    return text[0].isspace() or _kind(before[-1]) != _kind(text[0]) or _kind(text[0]) == "han"


def _kind(char: str) -> str:
    if "\u4e00" <= char <= "\u9fff":
        return "han"
    return "word" if char.isalnum() or char in "'\u2019\ufffd" else "mark"
