"""What the network's logits say of each open position: a candidate, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.constrain.base import Constraint
from lavida.decode.options import DecodeOptions
from lavida.decode.select import confidence, forbid, narrow, perturb


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the loop asks the network at one step."""

    ids: Tensor  # the canvas [L]
    rows: Tensor  # positions [n] of the open tokens that it wants scores of, all in `block`
    block: slice  # the part of the canvas that is being written
    fresh: bool  # caches that approximate are to be brought up to date


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The answer to a `Look`, on the device of its canvas."""

    candidates: Tensor  # ids [n], one for each of its rows
    confidence: Tensor  # [n], larger = surer
    logits: Tensor | None = None  # [n, V] that a constraint chooses by: before top_p and top_k, noise included

    def to(self, device: torch.device) -> Scores:
        """The same on another device."""
        logits = None if self.logits is None else self.logits.to(device)
        return Scores(candidates=self.candidates.to(device), confidence=self.confidence.to(device), logits=logits)


def score(
    look: Look,
    logits: Tensor,
    options: DecodeOptions,
    *,
    mask_id: int,
    generator: torch.Generator,
    constraint: Constraint | None = None,
) -> Scores:
    """Scores of logits [n, V], in float64 over the whole vocabulary: the reference that a faster way must equal.

    `generator` is that of the answer (`loop.write`). Under a constraint all is measured among the tokens it allows.
    """
    logits = forbid(logits, options.banned)
    allowed = None if constraint is None else constraint.allowed(look.ids, look.rows)
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
    likely = narrow(logits, options.temperature, options.top_p, options.top_k, mask_id=mask_id)
    noisy = perturb(logits, mask_id, options.temperature, generator)
    candidates = noisy.masked_fill(likely == -torch.inf, -torch.inf).argmax(-1)
    measured = likely / (options.temperature or 1) if options.sharp_confidence else logits
    sure = confidence(measured, candidates, options.remasking, generator)
    return Scores(candidates=candidates, confidence=sure, logits=None if constraint is None else noisy)
