"""Scores of open positions: a candidate token for each and how confident the model is, without logits of L x V.

`score` is the way in. Where only the likeliest tokens count, the vocabulary is read in chunks, of which a few numbers a
position are kept, as in the online softmax (arXiv 1805.02867); on a CPU the chunks are those in which a head is packed,
whatever the number of rows. Everything is measured from the largest logit: with
others = sum over all other tokens of exp(logit - largest), the largest has the probability 1 / (1 + others), and 1 - p
is as exact as p. That matters: near the end most positions are all but certain, and the ninth digit decides which is
committed first. `score_logits` is the float64 reference that tests hold it to, and serves samples, top_p and top_k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lavida.constrain.base import Constraint
from lavida.decode.noise import Noise
from lavida.decode.options import DecodeOptions
from lavida.decode.select import ban, check_numbers, confidence, forbid, narrow, perturb
from lavida.errors import RequestError
from lavida.nn.packed import PIECE

Head = Callable[[Tensor, slice | None], Tensor]  # hidden [n, D], part of the vocabulary (None = all) -> logits [n, v]

_CHUNK = 1 << 22  # logits of one chunk, at most: 16 MB in float32
_ROWS = 1 << 21  # logits that are scored at once where the whole vocabulary is needed: 16 MB in float64
_LEAST = torch.finfo(torch.float32).min  # stands for -inf, whose differences would be NaN


@dataclass(frozen=True, kw_only=True)
class Query:
    """Ask about the open positions of a canvas at one step."""

    ids: Tensor  # the canvas [L]
    rows: Tensor  # positions [n] of the open tokens to score, all in `block`
    block: slice  # the part of the canvas that is being written
    refresh: bool  # approximate caches are to be brought up to date
    greedy: bool = False  # take the likeliest token whatever the options say


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Answer a `Query`, on the device of its canvas."""

    candidates: Tensor  # ids [n], one for each row
    confidence: Tensor  # [n], larger = more confident
    logits: Tensor | None = None  # [n, V] that a constraint chooses by: before top_p and top_k, noise included

    def to(self, device: torch.device) -> Scores:
        """Return the same on another device."""
        logits = None if self.logits is None else self.logits.to(device)
        return Scores(candidates=self.candidates.to(device), confidence=self.confidence.to(device), logits=logits)


def score(
    query: Query,
    hidden: Tensor,
    head: Head,
    vocab_size: int,
    options: DecodeOptions,
    *,
    mask_id: int | None,
    generator: torch.Generator,
    constraint: Constraint | None = None,
    noise: Noise | None = None,
) -> Scores:
    """Score the rows of a query by the hidden states [n, D] that predict them.

    Samples, top_p and top_k see the whole vocabulary, a few rows at a time; a constraint sees all of it. `generator` is
    that of the answer (`DenoisingLoop.generator`), and `noise` takes its place. Of the vocabulary only
    `options.span` is computed.

    Raises:
        CheckpointError: The model computes no numbers (NaN).
    """
    if options.span is not None:
        return _score_span(query, hidden, head, vocab_size, options, mask_id=mask_id, generator=generator, noise=noise)
    if query.greedy:
        options = replace(options, temperature=0.0, top_p=None, top_k=None, remasking="confidence", entropy_bound=None)
    if constraint is not None and mask_id is not None:
        logits = head(hidden, None).to(query.ids.device)
        found = _constrained(query, logits, options, constraint, mask_id=mask_id, generator=generator)
    elif is_fused(options) and (noise is None or options.remasking != "random"):
        found = fused_scores(
            hidden,
            head,
            vocab_size,
            measure=options.remasking,
            mask_id=mask_id,
            banned=options.banned,
            generator=generator,
        ).to(query.ids.device)
    else:
        size = max(1, _ROWS // vocab_size)
        found = _by_rows(query, hidden, head, size, options, mask_id=mask_id, generator=generator, noise=noise)
    check_numbers(found.confidence)
    return found


def score_logits(
    query: Query,
    logits: Tensor,
    options: DecodeOptions,
    *,
    mask_id: int | None,
    generator: torch.Generator,
    constraint: Constraint | None = None,
    noise: Noise | None = None,
) -> Scores:
    """Score logits [n, V] in float64 over the whole vocabulary: the reference.

    Under a constraint, probabilities are those among the tokens that it allows.
    """
    logits = forbid(logits, options.banned)
    allowed = None if constraint is None else constraint.allowed(query.ids, query.rows)
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
    likely = narrow(logits, options.temperature, options.top_p, options.top_k, mask_id=mask_id)
    drawn = None if noise is None or not options.temperature else noise.tokens(query.rows, logits.shape[-1])
    noisy = perturb(logits, mask_id, options.temperature, generator, drawn)
    candidates = noisy.masked_fill(likely == -torch.inf, -torch.inf).argmax(-1)
    measured = likely / (options.temperature or 1) if options.sharp_confidence else logits
    sure = confidence(measured, candidates, options.remasking, generator)
    return Scores(candidates=candidates, confidence=sure, logits=None if constraint is None else noisy)


def _score_span(
    query: Query,
    hidden: Tensor,
    head: Head,
    vocab_size: int,
    options: DecodeOptions,
    *,
    mask_id: int | None,
    generator: torch.Generator,
    noise: Noise | None,
) -> Scores:
    """Score over the ids of `options.span` alone; no other logits are computed."""
    assert options.span is not None, "there is no span"
    start, stop = options.span[0], min(options.span[1], vocab_size)
    if start >= stop:
        raise RequestError(f"span begins at {start}, beyond the vocabulary of {vocab_size}; leave it out")
    banned = tuple(i - start for i in options.banned if start <= i < stop)
    found = score(
        query, hidden, _within(head, start, stop), stop - start, replace(options, span=None, banned=banned),
        mask_id=mask_id - start if mask_id is not None and start <= mask_id < stop else None,
        generator=generator, noise=noise,
    )  # fmt: skip
    return replace(found, candidates=found.candidates + start)


def _within(head: Head, start: int, stop: int) -> Head:
    """Return the head of a part of the vocabulary."""

    def part_of(hidden: Tensor, part: slice | None = None) -> Tensor:
        first, behind, _ = (part or slice(None)).indices(stop - start)
        return head(hidden, slice(start + first, start + behind))

    return part_of


def is_fused(options: DecodeOptions) -> bool:
    """Return whether only the likeliest token of each position is wanted, with no choice among others."""
    return options.temperature == 0 and options.top_p is None and options.top_k is None


def fits_one_chunk(rows: int, vocab_size: int, options: DecodeOptions) -> bool:
    """Return whether `score` reads so many rows against the whole vocabulary at once."""
    if not is_fused(options):
        return rows * vocab_size <= _ROWS
    return rows <= _CHUNK // PIECE and rows * vocab_size <= _CHUNK


def fused_scores(
    hidden: Tensor,
    head: Head,
    vocab_size: int,
    *,
    measure: str,
    mask_id: int | None,
    banned: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Scores:
    """Score hidden states [n, D] by their likeliest tokens, on their device.

    `measure` as in `select.confidence`; "random" draws from `generator`. Rows are independent of each other.
    """
    bias = ban(tuple(banned), vocab_size, hidden.device) if banned else None
    step = PIECE if hidden.device.type == "cpu" else max(1, _CHUNK // max(1, len(hidden)))
    found = [
        _likeliest(rows, head, vocab_size, step=step, measure=measure, mask_id=mask_id, bias=bias)
        for rows in hidden.split(_CHUNK // PIECE)
    ]
    state, value, candidates = found[0] if len(found) == 1 else _stacked(found)
    return Scores(candidates=candidates, confidence=state.confidence(value, measure, generator))


def _likeliest(
    hidden: Tensor, head: Head, vocab_size: int, *, step: int, measure: str, mask_id: int | None, bias: Tensor | None
) -> tuple[_Softmax, Tensor, Tensor]:
    """Return what is kept of the logits of hidden states [n, D], and the largest [n] with their ids [n]."""
    state: _Softmax | None = None
    value = candidates = torch.empty(0)
    masked = hidden.new_full((len(hidden),), _LEAST, dtype=torch.float32)
    for start in range(0, vocab_size, step):
        end = min(start + step, vocab_size)
        logits = head(hidden, slice(start, end)).float()
        if bias is not None:
            logits += bias[start:end]
        # The mask is no candidate, but has its share of the probability.
        if mask_id is not None and start <= mask_id < end:
            masked = logits[:, mask_id - start].clone()
            logits[:, mask_id - start] = -torch.inf
        part, best = _Softmax.of(logits, measure)
        if state is None:
            state, value, candidates = part, part.top, best[:, 0]
            continue
        candidates = torch.where(part.top > value, start + best[:, 0], candidates)
        state, value = state.join(part), torch.maximum(value, part.top)
    assert state is not None, "the vocabulary is empty"
    return state.join(_Softmax.of_one(masked, measure)), value, candidates


def _stacked(parts: Sequence[tuple[_Softmax, Tensor, Tensor]]) -> tuple[_Softmax, Tensor, Tensor]:
    """Return the results of all rows from those of some at a time."""
    states, values, candidates = zip(*parts)
    kept = {f.name: [getattr(one, f.name) for one in states] for f in fields(_Softmax)}
    state = _Softmax(**{name: torch.cat(some) for name, some in kept.items() if some[0] is not None})
    return state, torch.cat(values), torch.cat(candidates)


@dataclass(frozen=True, kw_only=True)
class _Softmax:
    """Hold what is kept of a part of the vocabulary, as far as the measure needs it; all [n] in float64."""

    top: Tensor  # largest logit
    others: Tensor  # sum over all but the largest of exp(-d), d = top - logit
    second: Tensor | None = None  # second largest, for a margin
    weighted: Tensor | None = None  # the sum of d exp(-d), for an entropy

    @classmethod
    def of(cls, logits: Tensor, measure: str) -> tuple[_Softmax, Tensor]:
        """Return that of logits [n, v] in float32, which are used up, and the index [n, 1] of the largest."""
        top, best = logits.max(-1, keepdim=True)
        top = top.clamp_(min=_LEAST)
        logits.scatter_(-1, best, -torch.inf)
        second = weighted = None
        if measure == "margin":
            second = logits.amax(-1).clamp(min=_LEAST).double()
        below = logits.sub_(top)
        if measure == "entropy":
            below.clamp_(min=-1e4)  # exp is 0 there, and 0 * inf would be NaN
            others = below.exp()
            weighted = -below.mul_(others).sum(-1).double()
        else:
            others = below.exp_()
        state = cls(top=top[:, 0].double(), others=others.sum(-1).double(), second=second, weighted=weighted)
        return state, best

    @classmethod
    def of_one(cls, logits: Tensor, measure: str) -> _Softmax:
        """Return that of a single logit in each row [n]."""
        top = logits.clamp(min=_LEAST).double()
        none = torch.zeros_like(top)
        second = torch.full_like(top, _LEAST) if measure == "margin" else None
        return cls(top=top, others=none, second=second, weighted=none if measure == "entropy" else None)

    def join(self, more: _Softmax) -> _Softmax:
        """Return that of both parts together."""
        top = torch.maximum(self.top, more.top)
        down, up = torch.exp(self.top - top), torch.exp(more.top - top)
        first = self.top >= more.top  # one of the two largest is no longer the largest
        others = down * (self.others + ~first) + up * (more.others + first)
        second = weighted = None
        if self.second is not None and more.second is not None:
            lower = torch.minimum(self.top, more.top)
            second = torch.maximum(torch.maximum(self.second, more.second), lower)
        if self.weighted is not None and more.weighted is not None:
            weighted = down * (self.weighted + (top - self.top) * (1 + self.others))
            weighted = weighted + up * (more.weighted + (top - more.top) * (1 + more.others))
        return _Softmax(top=top, others=others, second=second, weighted=weighted)

    def confidence(self, value: Tensor, measure: str, generator: torch.Generator | None) -> Tensor:
        """Return the confidence [n] in candidates with the logits `value` [n]."""
        if measure == "random":
            return confidence(value[:, None], value, measure, generator)
        if measure == "confidence":
            return torch.exp(value - self.top) / (1 + self.others)
        if self.second is not None:
            return -torch.expm1(self.second - self.top) / (1 + self.others)
        assert self.weighted is not None, "no entropy was measured"
        return -(torch.log1p(self.others) + self.weighted / (1 + self.others))


def _constrained(
    query: Query,
    logits: Tensor,
    options: DecodeOptions,
    constraint: Constraint,
    *,
    mask_id: int,
    generator: torch.Generator,
) -> Scores:
    """Score logits [n, V], which become those that the constraint chooses by."""
    if not is_fused(options):
        return score_logits(query, logits, options, mask_id=mask_id, generator=generator, constraint=constraint)
    allowed, vocab_size = constraint.allowed(query.ids, query.rows), logits.shape[-1]
    if allowed is not None:
        logits.masked_fill_(~allowed, -torch.inf)
    if options.banned:
        logits += ban(options.banned, vocab_size, logits.device)
    found = fused_scores(
        logits,
        lambda whole, part: whole[:, part].clone(),
        vocab_size,
        measure=options.remasking,
        mask_id=mask_id,
        generator=generator,
    )
    logits[:, mask_id] = -torch.inf
    return replace(found, logits=logits)


def _by_rows(
    query: Query,
    hidden: Tensor,
    head: Head,
    size: int,
    options: DecodeOptions,
    *,
    mask_id: int | None,
    generator: torch.Generator,
    noise: Noise | None = None,
) -> Scores:
    """Apply the reference to `size` rows at a time; random numbers are drawn as for all at once."""
    late = options.remasking == "random"  # its numbers are drawn after those of all samples
    options = replace(options, remasking="confidence") if late else options
    pieces = [
        score_logits(
            replace(query, rows=rows),
            head(some, None).to(query.ids.device),
            options,
            mask_id=mask_id,
            generator=generator,
            noise=noise,
        )
        for rows, some in zip(query.rows.split(size), hidden.split(size), strict=True)
    ]
    sure = torch.cat([piece.confidence for piece in pieces])
    if late:
        chance = None if noise is None else noise.confidences(query.rows)
        sure = confidence(sure[:, None], sure, "random", generator, chance)
    return Scores(candidates=torch.cat([piece.candidates for piece in pieces]), confidence=sure)
