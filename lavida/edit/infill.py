"""Infill a text: its holes are written to fit the image and both sides of them (section 3.5 of arXiv 2505.16839).

A hole of unknown length is tried at several lengths, and the canvas is kept that the model finds likeliest as a whole
(`decode.likelihood`). All canvases of one request have the same length (a shorter text ends in more end tokens) and are
scored under the same random masks, so that they differ by their words and not by chance. A model that was trained with
[S] and [FIM] (LaViDa, stage 3) can mark itself how much of a hole it needs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from lavida.decode.driver import Driver, Job
from lavida.decode.likelihood import common_log_likelihoods
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.edit.audit import token_scores
from lavida.errors import CheckpointError, RequestError, check_range, check_text
from lavida.model.vlm import VLM
from lavida.text.holes import Holed, read_holes

MOST = 6  # tokens of a hole [M], unless asked otherwise
METHODS = ("search", "fim")
# Of the options of decoding, those that change how a hole is written.
DECODE = ("steps", "schedule", "shift", "remasking", "threshold", "temperature", "top_p", "top_k", "seed")
_TOGETHER = 16  # combinations of lengths that are all tried; beyond it, one hole after the other
_ROUNDS, _BATCH = 2, 4  # masks that a canvas is scored under: the same for all, so that few are enough


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Hold another text that a hole could hold."""

    text: str
    tokens: int
    probability: float  # among the texts that were tried for this hole, the other holes as they are


@dataclass(frozen=True, kw_only=True)
class FilledHole:
    """Hold the text that was written into a hole."""

    text: str
    tokens: int
    probability: float  # as in `Alternative`
    score: float  # log-likelihood of its tokens given the image and the rest of the text, nats
    alternatives: tuple[Alternative, ...]  # the likeliest first


@dataclass(frozen=True, kw_only=True)
class Infill:
    """Hold a text whose holes are filled."""

    text: str
    holes: tuple[FilledHole, ...]
    tried: int  # texts that were compared


@dataclass(frozen=True, kw_only=True)
class InfillOptions:
    """Hold the choices of an infill, validated; RequestError names the field and its range."""

    how: str = "search"  # how the length of a hole is found: search, or fim by a model that was trained for it
    most: int = MOST  # tokens of a hole [M]
    alternatives: int = 3  # of each hole
    length: int = 16  # the shortest canvas
    decode: dict[str, Any] = field(default_factory=dict)  # further fields of `DecodeOptions`

    def __post_init__(self) -> None:
        if self.how not in METHODS:
            raise RequestError(f"unknown how {self.how!r}; choose one of {', '.join(METHODS)}")
        for name, least, largest in (("most", 1, 64), ("alternatives", 0, 20), ("length", 1, 4096)):
            check_range(name, getattr(self, name), least, largest)

    @classmethod
    def of(cls, options: dict[str, Any]) -> InfillOptions:
        """Return options by name; those of `DECODE` go to the denoising loop. RequestError for an unknown name."""
        own = {f.name for f in fields(cls)} - {"decode"}
        check_names(options, {*own, *DECODE})
        decode = {name: value for name, value in options.items() if name in DECODE and value is not None}
        return cls(**{name: value for name, value in options.items() if name in own}, decode=decode)


def infill(prompt: Prompt, text: str, **options: Any) -> Infill:
    """Fill the holes of a text.

    Args:
        prompt: The question that the text answers, and the image.
        text: Holds `[M]`, `[M:4]` or `[M:2-5]` where words are missing.
        **options: As in `InfillOptions.of`.

    Raises:
        RequestError: The text has no hole, an option is wrong, or the model writes left to right.
    """
    chosen = InfillOptions.of(options)
    check_text("the text", text)
    check_bidirectional(prompt.net)
    return infill_ids(prompt, read_holes(text, prompt.vocabulary, most=chosen.most), chosen)


def infill_ids(prompt: Prompt, holed: Holed, options: InfillOptions) -> Infill:
    """Fill the holes of a text that is tokens already; as `infill`."""
    search = Search(prompt, holed, options)
    best = search.by_fim() if options.how == "fim" else search.by_likelihood()
    for hole in range(len(holed.holes)) if options.alternatives else ():
        best = search.branch(best, hole)
    return search.result(best)


Sizes = tuple[int, ...]  # tokens in each hole


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Hold a filled canvas, the sizes of its holes, and its log-likelihood."""

    canvas: Tensor  # [L]
    sizes: Sizes
    body: tuple[int, ...]  # the text's tokens, without what ends it
    value: float


class Search:
    """Compare ways to fill one text; no canvas is scored twice."""

    def __init__(self, prompt: Prompt, holed: Holed, options: InfillOptions) -> None:
        self.prompt, self.holed, self.options = prompt, holed, options
        given = sum(map(len, holed.ids))
        longest = given + sum(hole.most for hole in holed.holes) + len(holed.holes) * (options.how == "fim")
        self.length = max(options.length, longest + 1)
        self.decode = DecodeOptions(length=self.length, **options.decode)
        self._scored: dict[tuple[Sizes, tuple[int, ...]], Candidate] = {}

    def by_likelihood(self) -> Candidate:
        """Find the likeliest canvas over the lengths of the holes: of all together, or one hole after the other."""
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

    def by_fim(self) -> Candidate:
        """Fill one canvas in which the model marks with [S] the places it does not need of a hole before [FIM]."""
        spare, end = self._gap_tokens()
        sizes = tuple(hole.most for hole in self.holed.holes)
        draft, spaced = self._draft(sizes, closing=[end])
        canvas = fill_drafts(self.prompt, draft[None], spaced[None], self.decode, allowed=[spare])[0]
        at, body, kept = 0, list(self.holed.ids[0]), []
        for before, size, after in zip(self.holed.ids, sizes, self.holed.ids[1:]):
            at += len(before)
            written = [i for i in canvas[at : at + size].tolist() if i != spare]
            body += [*written, *after]
            kept.append(len(written))
            at += size + 1
        return self._score([self.prompt.canvas(body, self.length)], [tuple(kept)])[0]

    def branch(self, best: Candidate, hole: int) -> Candidate:
        """Try other words at the least certain place of a hole, the rest of the hole anew around each."""
        start, stop = self._places(best.sizes)[hole]
        if start == stop:
            return best
        prompt = self.prompt
        hidden = torch.zeros(1, self.length, dtype=torch.bool)
        hidden[0, start:stop] = True
        masked = best.canvas[None].masked_fill(hidden, prompt.mask_id)
        _, spaced = self._draft(best.sizes)
        logp = prompt.log_probabilities(masked, hidden).masked_fill(~_writable(prompt, spaced[start:stop]), -torch.inf)
        unsure = int((logp.exp() * logp.clamp(min=-100)).sum(1).argmin())
        drafts = best.canvas.repeat(self.options.alternatives + 1, 1)
        drafts[:, start:stop] = prompt.mask_id
        drafts[:, start + unsure] = logp[unsure].topk(len(drafts)).indices
        canvases = fill_drafts(prompt, drafts, spaced.expand_as(drafts), self.decode)
        return _likeliest([best, *self._score(canvases, itertools.repeat(best.sizes))])

    def result(self, best: Candidate) -> Infill:
        """Return the best canvas as text, each hole beside what else was tried with the other holes as they are."""
        spans = self._places(best.sizes)
        own = token_scores(self.prompt, best.body, spans, length=self.options.length)[0].split(list(best.sizes))
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
        return Infill(text=self.holed.filled(words), holes=tuple(holes), tried=len(self._scored))

    def _rivals(self, best: Candidate, hole: int) -> dict[str, Candidate]:
        """Return the likeliest canvas for each other text of a hole, the other holes as in the best."""
        words = self._words(best)
        found: dict[str, Candidate] = {}
        for one in sorted(self._scored.values(), key=lambda one: -one.value):
            other = self._words(one)
            if _with(other, hole, words[hole]) == words and other[hole] != words[hole]:
                found.setdefault(other[hole], one)
        return found

    def _words(self, one: Candidate) -> tuple[str, ...]:
        decode = self.prompt.vocabulary.decode
        return tuple(decode(one.canvas[start:stop].tolist()) for start, stop in self._places(one.sizes))

    def _filled(self, many: Iterable[Sizes]) -> list[Candidate]:
        chosen = list(many)
        drafts, spaced = map(torch.stack, zip(*map(self._draft, chosen), strict=True))
        return self._score(fill_drafts(self.prompt, drafts, spaced, self.decode), chosen)

    def _draft(self, sizes: Sizes, closing: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """Return the canvas [L] with masks in its holes, and where [L] a token must begin with a space."""
        ids, opens = list(self.holed.ids[0]), []
        for hole, size, after in zip(self.holed.holes, sizes, self.holed.ids[1:], strict=True):
            opens += [len(ids)] if hole.spaced and size else []
            ids += [self.prompt.mask_id] * size + [*closing, *after]
        spaced = torch.zeros(self.length, dtype=torch.bool)
        spaced[opens] = True
        return self.prompt.canvas(ids, self.length), spaced

    def _places(self, sizes: Sizes) -> list[tuple[int, int]]:
        """Return (start, stop) of each hole."""
        at, places = 0, []
        for ids, size in zip(self.holed.ids, sizes):
            places.append((at + len(ids), at + len(ids) + size))
            at += len(ids) + size
        return places

    def _score(self, canvases: Iterable[Tensor], sizes: Iterable[Sizes]) -> list[Candidate]:
        """Return canvases [L] with their likelihoods; new ones are scored under the same masks, together."""
        keys = [(size, tuple(canvas.tolist())) for canvas, size in zip(canvases, sizes)]
        new = [key for key in dict.fromkeys(keys) if key not in self._scored]
        if new:
            ids = torch.tensor([canvas for _, canvas in new])
            values = common_log_likelihoods(self.prompt, ids, rounds=_ROUNDS, batch=_BATCH)
            given = sum(map(len, self.holed.ids))
            for (size, canvas), row, value in zip(new, ids, values.tolist(), strict=True):
                body = canvas[: given + sum(size)]
                self._scored[size, canvas] = Candidate(canvas=row, sizes=size, body=body, value=value)
        return [self._scored[key] for key in keys]

    def _gap_tokens(self) -> tuple[int, int]:
        """Return the ids of [S] and [FIM]. Raises RequestError if the model has none."""
        template, vocabulary = self.prompt.template, self.prompt.vocabulary
        if template is not None and template.gap is not None:
            with suppress(CheckpointError):  # the tokenizer may lack what its family has
                return vocabulary.id_of(template.gap[0]), vocabulary.id_of(template.gap[1])
        raise RequestError("this model has no tokens for gaps; leave how at search")


@torch.no_grad()
def fill_drafts(
    prompt: Prompt, drafts: Tensor, spaced: Tensor, options: DecodeOptions, *, allowed: Collection[int] = ()
) -> Tensor:
    """Write a token of text at each mask of drafts [C, L], in shared forward passes.

    Args:
        prompt: Stands before every draft.
        drafts: ids [C, L] with masks.
        spaced: bool [C, L]; where it is True, the token begins with a space.
        options: `length` is L.
        allowed: Ids that may be written though they stand for no text.

    Raises:
        RequestError: Prompt and canvas do not fit into the model.
    """
    jobs = [
        Job(prompt.net, options, prompt, draft=draft, constraint=_TextOnly(_writable(prompt, where, allowed)))
        for draft, where in zip(drafts, spaced, strict=True)
    ]
    if prompt.prefix is not None:
        prompt.prefix.prefill()
    Driver(prompt.net, exact=False).run(jobs)
    return torch.stack([job.loop.canvas.ids for job in jobs])


class _TextOnly:
    """Allow at each position [L] the ids of a mask [L, V]; a `Constraint`."""

    def __init__(self, writable: Tensor) -> None:
        self._writable = writable

    def check(self, ids: Tensor) -> None:
        """Accept every canvas."""

    def allowed(self, ids: Tensor, rows: Tensor) -> Tensor:
        """Return what each row may become."""
        return self._writable[rows]

    def commit(self, ids: Tensor, rows: Tensor, candidates: Tensor, chosen: Tensor, logits: Tensor | None) -> Tensor:
        """Return the chosen candidates: each is allowed beside any other."""
        return candidates[chosen]


def _writable(prompt: Prompt, spaced: Tensor, allowed: Collection[int] = ()) -> Tensor:
    """Return bool [L, V]: the tokens of text at each place, those that begin with a space where `spaced` [L]."""
    writable = torch.ones(len(spaced), prompt.net.config.denoiser.vocab_size, dtype=torch.bool)
    writable[:, prompt.unwritable] = False
    writable[:, list(allowed)] = True
    writable[spaced.nonzero(), torch.tensor(prompt.vocabulary.unspaced_ids)] = False
    return writable


def check_bidirectional(net: VLM) -> None:
    """Raise RequestError for a model that does not see what stands behind a gap."""
    if net.config.denoiser.autoregressive:
        raise RequestError("this model writes left to right and sees nothing behind a gap; take a diffusion model")


def check_names(options: dict[str, Any], known: Collection[str]) -> None:
    """Raise RequestError for an option whose name is not `known`."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RequestError(f"unknown option {unknown[0]!r}; choose from {', '.join(sorted(known))}")


def _likeliest(tries: Iterable[Candidate]) -> Candidate:
    return max(tries, key=lambda one: one.value)


def _with(values: tuple, place: int, value: Any) -> tuple:
    return (*values[:place], value, *values[place + 1 :])
