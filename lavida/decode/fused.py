"""The lean twin of `score`: scores straight from hidden states, without logits of canvas x vocabulary.

The vocabulary passes by in chunks, of which a few numbers a position are kept, as in the online softmax
(arXiv 1805.02867). Everything is measured from the largest logit: with others = sum over all other tokens of
exp(logit - largest), the largest has the probability 1 / (1 + others), and 1 - p is as exact as p. That matters: near
the end most positions are all but certain, and which of them is committed first is a matter of the ninth digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lavida.constrain.base import Constraint
from lavida.decode.options import DecodeOptions
from lavida.decode.score import Look, Scores, score
from lavida.decode.select import ban, confidence

HeadOf = Callable[[Tensor, slice | None], Tensor]  # hidden [n, D], part of the vocabulary (None = all) -> logits [n, v]

_CHUNK = 1 << 22  # logits of one chunk: 16 MB in float32
_ROWS = 1 << 21  # logits that are scored at once where the whole vocabulary is needed: 16 MB in float64
_LEAST = torch.finfo(torch.float32).min  # stands for -inf, whose differences would be NaN


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What is kept of a part of the vocabulary; all [n] in float64."""

    top: Tensor  # largest logit
    second: Tensor  # second largest
    others: Tensor  # sum over all but the largest of exp(-d), d = top - logit
    weighted: Tensor  # the same sum of d exp(-d)

    @classmethod
    def of(cls, logits: Tensor, measure: str) -> tuple[_Seen, Tensor]:
        """That of logits [n, v] in float32, which are used up, and the index [n] of the largest."""
        top, best = logits.max(-1, keepdim=True)
        top = top.clamp(min=_LEAST)
        logits.scatter_(-1, best, -torch.inf)
        second = logits.amax(-1).clamp(min=_LEAST) if measure == "margin" else top[:, 0]
        below = logits.sub_(top)
        if measure == "entropy":
            below.clamp_(min=-1e4)  # exp is 0 there, and 0 * inf would be NaN
            others = below.exp()
            weighted = -below.mul_(others).sum(-1)
        else:
            others, weighted = below.exp_(), top[:, 0]
        parts = (top[:, 0], second, others.sum(-1), weighted)
        return cls(**dict(zip(("top", "second", "others", "weighted"), (p.double() for p in parts), strict=True))), best

    def join(self, more: _Seen) -> _Seen:
        """That of both parts together."""
        top = torch.maximum(self.top, more.top)
        lower = torch.minimum(self.top, more.top)  # one of the two largest is no longer the largest
        down, up = torch.exp(self.top - top), torch.exp(more.top - top)
        mine, theirs = self.top >= more.top, self.top < more.top
        return _Seen(
            top=top,
            second=torch.maximum(torch.maximum(self.second, more.second), lower),
            others=down * (self.others + theirs) + up * (more.others + mine),
            weighted=down * (self.weighted + (top - self.top) * (1 + self.others))
            + up * (more.weighted + (top - more.top) * (1 + more.others)),
        )


def fused_scores(
    hidden: Tensor,
    head: HeadOf,
    vocab_size: int,
    *,
    measure: str,
    mask_id: int,
    banned: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Scores:
    """Scores of hidden states [n, D] for the likeliest tokens, on their device.

    `measure` as in `select.confidence`; "random" draws from `generator`. Rows are independent: those of several
    answers may come together.
    """
    seen, value, candidates = None, None, None
    bias = ban(tuple(banned), vocab_size, hidden.device) if banned else None
    masked = hidden.new_full((len(hidden), 1), _LEAST, dtype=torch.float32)
    step = max(1, _CHUNK // max(1, len(hidden)))
    for start in range(0, vocab_size, step):
        end = min(start + step, vocab_size)
        logits = head(hidden, slice(start, end)).float()
        if bias is not None:
            logits += bias[start:end]
        if start <= mask_id < end:  # the mask is no candidate, but has its share of the probability
            masked = logits[:, mask_id - start, None].clone()
            logits[:, mask_id - start] = -torch.inf
        part, best = _Seen.of(logits, measure)
        if seen is None:
            seen, value, candidates = part, part.top, best[:, 0]
            continue
        candidates = torch.where(part.top > value, start + best[:, 0], candidates)
        seen, value = seen.join(part), torch.maximum(value, part.top)
    seen = seen.join(_Seen.of(masked, measure)[0])
    return Scores(candidates=candidates, confidence=_confidence(seen, value, measure, generator))


def _confidence(seen: _Seen, value: Tensor, measure: str, generator: torch.Generator | None) -> Tensor:
    if measure == "random":
        return confidence(value[:, None], value, measure, generator)
    if measure == "confidence":
        return torch.exp(value - seen.top) / (1 + seen.others)
    if measure == "margin":
        return -torch.expm1(seen.second - seen.top) / (1 + seen.others)
    return -(torch.log1p(seen.others) + seen.weighted / (1 + seen.others))


def lean_scores(
    look: Look,
    hidden: Tensor,
    head: HeadOf,
    vocab_size: int,
    options: DecodeOptions,
    *,
    mask_id: int,
    generator: torch.Generator,
    constraint: Constraint | None = None,
) -> Scores:
    """Scores of a look from the hidden states [n, D] of its rows, as `score` gives them from their logits.

    What has to see the whole vocabulary (samples, top_p and top_k) sees a few rows at a time; a constraint sees all.
    """
    shared = {"mask_id": mask_id, "generator": generator}
    if constraint is not None:
        return _constrained(look, head(hidden, None).to(look.ids.device), options, constraint, **shared)
    if not is_fused(options):
        return _by_rows(look, hidden, head, max(1, _ROWS // vocab_size), options, **shared)
    measured = {"measure": options.remasking, "banned": options.banned}
    return fused_scores(hidden, head, vocab_size, **measured, **shared).to(look.ids.device)


def _constrained(
    look: Look,
    logits: Tensor,
    options: DecodeOptions,
    constraint: Constraint,
    *,
    mask_id: int,
    generator: torch.Generator,
) -> Scores:
    """Scores of logits [n, V], which become those that the constraint chooses by."""
    shared = {"mask_id": mask_id, "generator": generator}
    if not is_fused(options):
        return score(look, logits, options, constraint=constraint, **shared)
    allowed, vocab_size = constraint.allowed(look.ids, look.rows), logits.shape[-1]
    if allowed is not None:
        logits.masked_fill_(~allowed, -torch.inf)
    if options.banned:
        logits += ban(options.banned, vocab_size, logits.device)
    found = fused_scores(
        logits, lambda whole, part: whole[:, part].clone(), vocab_size, measure=options.remasking, **shared
    )
    logits[:, mask_id] = -torch.inf
    return replace(found, logits=logits)


def _by_rows(
    look: Look,
    hidden: Tensor,
    head: HeadOf,
    size: int,
    options: DecodeOptions,
    *,
    mask_id: int,
    generator: torch.Generator,
) -> Scores:
    """The reference on `size` rows at a time; random numbers are drawn as for all at once."""
    late = options.remasking == "random"  # its numbers are drawn after those of all samples
    options = replace(options, remasking="confidence") if late else options
    pieces = [
        score(
            replace(look, rows=rows),
            head(some, None).to(look.ids.device),
            options,
            mask_id=mask_id,
            generator=generator,
        )
        for rows, some in zip(look.rows.split(size), hidden.split(size), strict=True)
    ]
    sure = torch.cat([piece.confidence for piece in pieces])
    if late:
        sure = confidence(sure[:, None], sure, "random", generator)
    return Scores(candidates=torch.cat([piece.candidates for piece in pieces]), confidence=sure)


def is_fused(options: DecodeOptions) -> bool:
    """Whether `fused_scores` can say what these options ask for: the likeliest tokens, and no choice among them."""
    return options.temperature == 0 and options.top_p is None and options.top_k is None


def in_one_piece(rows: int, vocab_size: int, options: DecodeOptions) -> bool:
    """Whether `lean_scores` reads so many rows against the whole vocabulary at once."""
    return rows * vocab_size <= (_CHUNK if is_fused(options) else _ROWS)
