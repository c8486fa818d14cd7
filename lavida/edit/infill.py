"""Holes in a text, filled with what fits the picture and both sides of them.

A hole of unknown length is tried at several lengths; what is kept is the canvas that the model finds likeliest as a
whole, by the bound of `eval.likelihood`. All canvases of one request are equally long (what is shorter ends in more end
tokens) and are held against the same random masks, so that they differ by what they say and not by chance. A model
that was taught [S] and [FIM] (LaViDa, stage 3) can say itself how much of a hole it needs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lavida.decode.likelihood import common_log_likelihoods
from lavida.decode.options import DecodeOptions
from lavida.edit.audit import token_scores
from lavida.edit.fill import fill
from lavida.edit.reading import Reading
from lavida.errors import CheckpointError, RequestError
from lavida.text.holes import Holed

MOST = 6  # tokens of a hole [M], unless asked otherwise
HOWS = ("search", "fim")
_TOGETHER = 16  # combinations of lengths that are all tried; beyond it, one hole after the other
_ROUNDS, _BATCH = 2, 4  # masks that a canvas is held against: the same for all, so that few are enough


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """What else a hole could hold."""

    text: str
    tokens: int
    probability: float  # among what was tried for this hole, the other holes as they are


@dataclass(frozen=True, kw_only=True)
class FilledHole:
    """What a hole holds."""

    text: str
    tokens: int
    probability: float  # as in `Alternative`
    score: float  # log-likelihood of its tokens given the picture and the rest of the text, nats
    alternatives: tuple[Alternative, ...]  # the likeliest first


@dataclass(frozen=True, kw_only=True)
class Infill:
    """A text without holes."""

    text: str
    holes: tuple[FilledHole, ...]
    tried: int  # texts that were compared


@dataclass(frozen=True, kw_only=True)
class InfillOptions:
    """Validated on construction; RequestError names the field and its range."""

    how: str = "search"  # how the length of a hole is found: search, or fim by a model that was taught it
    most: int = MOST  # tokens of a hole [M]
    alternatives: int = 3  # of each hole
    length: int = 16  # the shortest canvas
    decode: dict[str, Any] = field(default_factory=dict)  # further fields of `DecodeOptions`

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise RequestError(f"unknown how {self.how!r}; choose one of {', '.join(HOWS)}")
        for name, least, largest in (("most", 1, 64), ("alternatives", 0, 20), ("length", 1, 4096)):
            value = getattr(self, name)
            if not (isinstance(value, int) and least <= value <= largest):
                raise RequestError(f"{name} must be {least} to {largest}, got {value}")


Sizes = tuple[int, ...]  # tokens in each hole


@dataclass(frozen=True, kw_only=True)
class Try:
    """A canvas, how long its holes are, and its log-likelihood."""

    canvas: Tensor  # [L]
    sizes: Sizes
    body: tuple[int, ...]  # the text's tokens, without what ends it
    value: float


def infill_ids(reading: Reading, holed: Holed, options: InfillOptions) -> Infill:
    """Fill the holes of a text with a model that sees both sides of them. Raises RequestError if it does not fit."""
    search = Search(reading, holed, options)
    best = search.by_fim() if options.how == "fim" else search.by_likelihood()
    for hole in range(len(holed.holes)) if options.alternatives else ():
        best = search.branch(best, hole)
    return search.result(best)


class Search:
    """All that was tried for one text; no canvas is scored twice."""

    def __init__(self, reading: Reading, holed: Holed, options: InfillOptions) -> None:
        self.reading, self.holed, self.options = reading, holed, options
        given = sum(map(len, holed.ids))
        longest = given + sum(hole.most for hole in holed.holes) + len(holed.holes) * (options.how == "fim")
        self.length = max(options.length, longest + 1)
        self.decode = DecodeOptions(length=self.length, **options.decode)
        self._tries: dict[tuple[Sizes, tuple[int, ...]], Try] = {}

    def by_likelihood(self) -> Try:
        """The likeliest canvas over the lengths of the holes: of all of them, or one hole after the other."""
        ranges = [range(hole.least, hole.most + 1) for hole in self.holed.holes]
        if math.prod(map(len, ranges)) <= _TOGETHER:
            return _likeliest(self._filled(itertools.product(*ranges)))
        best = _likeliest(self._filled([tuple((sizes[0] + sizes[-1]) // 2 for sizes in ranges)]))
        for _ in range(2):
            before = best.sizes
            for hole, sizes in enumerate(ranges):
                best = _likeliest([best, *self._filled(_with(best.sizes, hole, size) for size in sizes)])
            if best.sizes == before:
                break
        return best

    def by_fim(self) -> Try:
        """One canvas in which the model marks with [S] what it does not need of a hole that ends in [FIM]."""
        spare, end = self._gap_tokens()
        sizes = tuple(hole.most for hole in self.holed.holes)
        draft, spaced = self._draft(sizes, closing=[end])
        canvas = fill(self.reading, draft[None], spaced[None], self.decode, allowed=[spare])[0]
        at, body, kept = 0, list(self.holed.ids[0]), []
        for before, size, after in zip(self.holed.ids, sizes, self.holed.ids[1:]):
            at += len(before)
            written = [i for i in canvas[at : at + size].tolist() if i != spare]
            body += [*written, *after]
            kept.append(len(written))
            at += size + 1
        return self._scored([self.reading.canvas(body, self.length)], [tuple(kept)])[0]

    def branch(self, best: Try, hole: int) -> Try:
        """Try other words where the model is least sure within a hole, the rest of the hole anew around each."""
        start, stop = self._places(best.sizes)[hole]
        if start == stop:
            return best
        hidden = torch.zeros(1, self.length, dtype=torch.bool)
        hidden[0, start:stop] = True
        logp = self.reading.log_probabilities(best.canvas[None], hidden, hidden)
        logp.index_fill_(1, self.reading.unwritable, -torch.inf)
        _, spaced = self._draft(best.sizes)
        self.reading.begin_with_space(logp, spaced[start:stop])
        unsure = int((logp.exp() * logp.clamp(min=-100)).sum(1).argmin())
        drafts = best.canvas.repeat(self.options.alternatives + 1, 1)
        drafts[:, start:stop] = self.reading.mask_id
        drafts[:, start + unsure] = logp[unsure].topk(len(drafts)).indices
        canvases = fill(self.reading, drafts, spaced.expand_as(drafts), self.decode)
        return _likeliest([best, *self._scored(canvases, itertools.repeat(best.sizes))])

    def result(self, best: Try) -> Infill:
        """The best canvas as text, each hole beside what else was tried with the other holes as they are."""
        spans = self._places(best.sizes)
        own = token_scores(self.reading, best.body, spans)[0].split(list(best.sizes))
        words = self._words(best)
        holes = []
        for hole in range(len(spans)):
            rivals = self._rivals(best, hole)
            total = torch.tensor([best.value, *(one.value for one in rivals.values())], dtype=torch.float64).softmax(0)
            others = [
                Alternative(text=text, tokens=one.sizes[hole], probability=p)
                for (text, one), p in zip(rivals.items(), total[1:].tolist(), strict=True)
            ]
            others.sort(key=lambda one: -one.probability)
            holes.append(
                FilledHole(
                    text=words[hole],
                    tokens=best.sizes[hole],
                    probability=total[0].item(),
                    score=own[hole].sum().item(),
                    alternatives=tuple(others[: self.options.alternatives]),
                )
            )
        return Infill(text=self.holed.filled(words), holes=tuple(holes), tried=len(self._tries))

    def _rivals(self, best: Try, hole: int) -> dict[str, Try]:
        """The likeliest canvas for each other text of a hole, the other holes as in the best."""
        words, found = self._words(best), {}
        for one in sorted(self._tries.values(), key=lambda one: -one.value):
            other = self._words(one)
            if _with(other, hole, words[hole]) == words and other[hole] != words[hole]:
                found.setdefault(other[hole], one)
        return found

    def _words(self, one: Try) -> tuple[str, ...]:
        decode = self.reading.tokenizer.decode
        return tuple(decode(one.canvas[start:stop].tolist()) for start, stop in self._places(one.sizes))

    def _filled(self, many: Iterable[Sizes]) -> list[Try]:
        chosen = list(many)
        drafts, spaced = map(torch.stack, zip(*map(self._draft, chosen), strict=True))
        canvases = fill(self.reading, drafts, spaced, self.decode)
        return self._scored(canvases, chosen)

    def _draft(self, sizes: Sizes, closing: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """The canvas [L] with masks in its holes, and where [L] a token must begin with a space."""
        ids, opens = list(self.holed.ids[0]), []
        for hole, size, after in zip(self.holed.holes, sizes, self.holed.ids[1:], strict=True):
            opens += [len(ids)] if hole.spaced and size else []
            ids += [self.reading.mask_id] * size + [*closing, *after]
        spaced = torch.zeros(self.length, dtype=torch.bool)
        spaced[opens] = True
        return self.reading.canvas(ids, self.length), spaced

    def _places(self, sizes: Sizes) -> list[tuple[int, int]]:
        """(start, stop) of each hole."""
        at, places = 0, []
        for ids, size in zip(self.holed.ids, sizes):
            places.append((at + len(ids), at + len(ids) + size))
            at += len(ids) + size
        return places

    def _scored(self, canvases: Iterable[Tensor], sizes: Iterable[Sizes]) -> list[Try]:
        """Canvases [L] with their likelihoods; all that are new are held against the same masks, together."""
        keys = [(size, tuple(canvas.tolist())) for canvas, size in zip(canvases, sizes)]
        new = [key for key in dict.fromkeys(keys) if key not in self._tries]
        if new:
            reading, ids = self.reading, torch.tensor([canvas for _, canvas in new])
            values = common_log_likelihoods(
                reading.net, list(reading.segments), ids, rounds=_ROUNDS, batch=_BATCH, cache=reading.cache
            )
            given = sum(map(len, self.holed.ids))
            for (size, canvas), row, value in zip(new, ids, values.tolist(), strict=True):
                body = canvas[: given + sum(size)]
                self._tries[size, canvas] = Try(canvas=row, sizes=size, body=body, value=value)
        return [self._tries[key] for key in keys]

    def _gap_tokens(self) -> tuple[int, int]:
        """The ids of [S] and [FIM]. Raises RequestError if the model has none."""
        gap, tokenizer = self.reading.template.gap, self.reading.tokenizer
        if gap is not None:
            with suppress(CheckpointError):  # the tokenizer may lack what its family has
                return tokenizer.id_of(gap[0]), tokenizer.id_of(gap[1])
        raise RequestError("this model has no tokens for gaps; leave how at search")


def _likeliest(tries: Iterable[Try]) -> Try:
    return max(tries, key=lambda one: one.value)


def _with(values: tuple, place: int, value: Any) -> tuple:
    return (*values[:place], value, *values[place + 1 :])
