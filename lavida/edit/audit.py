"""Audit a text: the log-likelihood of each of its tokens with the image and without it.

A token is held against all the others: its word is hidden, and unless it is the word's first token the ones before it
are shown again, so that the figures of the tokens add up to that of the word. An autoregressive model knows only what
stands before a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lavida.decode.prompt import Prompt
from lavida.diffusion.masking import apply_mask
from lavida.errors import RequestError, check_range, check_text
from lavida.text.holes import text_ids

GREY = (127, 127, 127)  # of the image that stands for none
LENGTH = 16  # tokens of a canvas, at least


@dataclass(frozen=True, kw_only=True)
class Token:
    """Hold the log-likelihoods (nats) of one token of the text."""

    text: str
    seen: float  # with the image
    blind: float  # without it
    instead: str  # the likeliest token at its place, with the image
    instead_seen: float  # and its log-likelihood

    @property
    def support(self) -> float:
        """Return what the image adds for the token in nats; below 0, it speaks against it."""
        return self.seen - self.blind


@dataclass(frozen=True, kw_only=True)
class Word:
    """Hold the tokens of one word; punctuation is a word of its own."""

    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """The word, with the space before it."""
        return "".join(token.text for token in self.tokens)

    @property
    def seen(self) -> float:
        """Its log-likelihood with the image."""
        return sum(token.seen for token in self.tokens)

    @property
    def blind(self) -> float:
        """Its log-likelihood without the image."""
        return sum(token.blind for token in self.tokens)

    @property
    def support(self) -> float:
        """Return what the image adds for the word in nats; below 0, it speaks against it."""
        return self.seen - self.blind


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Hold a text, word by word."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(word.text for word in self.words).strip()


def facts_of(found: Audit) -> dict[str, Any]:
    """Return an audit as plain values; `start` and `end` of a word are places in the text."""
    words: list[dict[str, Any]] = []
    end = 0
    for word in found.words:
        text = word.text.strip()
        start = max(end, found.text.find(text, end))
        end = start + len(text)
        tokens = [
            {**_figures(t.text, t), "likeliest": t.instead, "likeliest_log_likelihood": t.instead_seen}
            for t in word.tokens
        ]
        words.append({**_figures(text, word), "start": start, "end": end, "tokens": tokens})
    return {"text": found.text, "words": words}


def _figures(text: str, part: Word | Token) -> dict[str, Any]:
    return {"text": text, "log_likelihood": part.seen, "without_picture": part.blind, "support": part.support}


@torch.no_grad()
def audit(seen: Prompt, blind: Prompt, text: str, *, length: int = LENGTH) -> Audit:
    """Audit a text under two prompts of one question: with the image, and with a grey one in its place.

    `length` is that of the canvas, at least. Raises RequestError if the text is empty.
    """
    check_range("length", length, 0, seen.net.config.denoiser.max_length)
    ids = ids_of(text, seen)
    return audit_ids(seen, blind, ids, length=length)


def audit_ids(seen: Prompt, blind: Prompt, ids: Sequence[int], *, length: int = LENGTH) -> Audit:
    """Audit the tokens of a text; as `audit`."""
    vocabulary = seen.vocabulary
    spans = word_spans([vocabulary.token(i) for i in ids])
    with_image, best, best_value = token_scores(seen, ids, spans, length=length)
    without, _, _ = token_scores(blind, ids, spans, length=length)
    tokens = [
        Token(
            text=vocabulary.token(i),
            seen=with_image[k].item(),
            blind=without[k].item(),
            instead=vocabulary.token(int(best[k])),
            instead_seen=best_value[k].item(),
        )
        for k, i in enumerate(ids)
    ]
    return Audit(words=tuple(Word(tokens=tuple(tokens[a:b])) for a, b in spans))


def ids_of(text: str, prompt: Prompt) -> list[int]:
    """Return the tokens of a text that is there already. Raises RequestError if it is empty."""
    check_text("the text", text)
    if not text.strip():
        raise RequestError("the text is empty; give at least one word")
    return text_ids(text.strip(), prompt.vocabulary)


def token_scores(
    prompt: Prompt, ids: Sequence[int], spans: Sequence[tuple[int, int]], *, length: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the log-likelihoods [n] of the tokens in `spans` of a text, and the likeliest tokens [n] with theirs [n].

    The tokens of a span are hidden together and shown again one after the other, so that they add up to the figure of
    the span. A text without any such token gives three empty tensors.
    """
    canvas = prompt.canvas(ids, length)
    places = torch.tensor([i for start, stop in spans for i in range(start, stop)], dtype=torch.long)
    if not len(places):
        return torch.zeros(0), places, torch.zeros(0)
    wanted = torch.zeros(len(places), len(canvas), dtype=torch.bool)
    wanted[torch.arange(len(places)), places] = True
    if prompt.net.config.denoiser.autoregressive:  # one pass gives all, and it sees only what stands before
        logp = prompt.log_probabilities(canvas[None], wanted.any(0)[None])
    else:
        ends = torch.tensor([stop for start, stop in spans for _ in range(start, stop)], dtype=torch.long)
        at = torch.arange(len(canvas))
        hidden = (at >= places[:, None]) & (at < ends[:, None])
        logp = prompt.log_probabilities(apply_mask(canvas.expand(len(places), -1), hidden, prompt.mask_id), wanted)
    own = logp.gather(1, canvas[places, None])[:, 0]
    best = logp.index_fill(1, prompt.unwritable, -torch.inf).max(1)
    return own, best.indices, best.values


def word_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Return (start, stop) of each word: it begins with a space, or where letters and digits meet anything else.

    A token that is no whole character (a byte of one) belongs to the word before it; Chinese characters stand alone.
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
