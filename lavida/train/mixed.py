"""The mixed objective of MMaDA (arXiv 2505.15809): pictures to draw, pictures that are shown, and texts in one batch.

Which kind a row is stands in its first token. A picture to draw is masked at a rate of its own, and its loss is a plain
mean; answers are masked and weighed as LLaDA's are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.config import CodesConfig
from lavida.data.collate import Batch
from lavida.diffusion.loss import masked_loss
from lavida.diffusion.masking import draw_masks, masking_probability, sample_times
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError
from lavida.model.denoiser import Denoiser
from lavida.model.vlm import VLM
from lavida.train.step import Targets, TrainingStep, attention_mask, loss_by_probability, mask_embeddings, splice_batch

DRAWN, SHOWN, TEXT = range(3)  # kinds of rows


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Weigh the three losses, and say how many rows of each kind a published batch has."""

    weights: tuple[float, float, float]  # of the mean loss of pictures to draw, pictures shown, and texts
    rows: tuple[int, int, int]  # of these kinds in a batch
    side: int = 512  # pixels of a picture
    drawn: float = 0.5  # share of the captions that are learnt as pictures to draw

    def __post_init__(self) -> None:
        if min(self.weights) < 0 or not any(self.weights) or min(self.rows) < 1 or not 0 <= self.drawn <= 1:
            raise ConfigError(
                f"a mixed objective has weights of at least 0, 1 row of each kind and a share of 0 to 1, got {self}"
            )

    def coefficients(self, kinds: Tensor) -> list[float]:
        """Return the weight of each kind's mean loss in a batch of rows [B] of these kinds.

        Whatever the batch, every row of a kind weighs the same, so that a batch may be divided; with the published
        numbers of rows the weights are the published ones.
        """
        counts = [int((kinds == kind).sum()) for kind in (DRAWN, SHOWN, TEXT)]
        whole = sum(self.rows)
        return [w * whole / own * n / len(kinds) for w, own, n in zip(self.weights, self.rows, counts)]


class MixedStep(TrainingStep):
    """Join a model whose pictures are tokens and the mixed objective."""

    def __init__(self, vlm: VLM, mixed: Mixed) -> None:
        super().__init__(vlm, Objective(weighting="1/t", complementary=False))
        if vlm.config.codes is None:
            raise ConfigError("this recipe draws pictures, and the model's pictures are no tokens; take MMaDA")
        self.mixed, self.codes = mixed, vlm.config.codes

    def forward(self, batch: Batch, targets: Targets) -> tuple[Tensor, Tensor]:
        """Compute the loss of a batch; as in `TrainingStep`."""
        spliced = splice_batch(self.vlm, batch)
        masked, kinds, p = targets.masked[0], kinds_of(batch.ids, self.codes), targets.p[0]
        x = mask_embeddings(self.vlm.denoiser, spliced.x, masked)
        ends = (kinds == DRAWN)[:, None] & (batch.answer > 0) & ~_in_span(batch.ids, self.codes)
        loss, _, per_token = mixed_loss(
            self.vlm.denoiser, x, batch.ids, masked | ends, kinds, coefficients=self.mixed.coefficients(kinds),
            mask=attention_mask(batch, spliced, "full"), p=p, lengths=targets.lengths,
        )  # fmt: skip
        return loss, loss_by_probability(per_token.detach(), masked, p)

    def draw(self, batch: Batch, generator: torch.Generator) -> Targets:
        """Draw the masks of a batch, one of each row."""
        drawn = (kinds_of(batch.ids, self.codes) == DRAWN)[:, None]
        target = (batch.answer > 0) & batch.real & (~drawn | _in_span(batch.ids, self.codes))
        lengths = target.sum(-1).clamp(min=1)
        p = sample_times(len(target), generator, self.objective.eps)
        of_text = draw_masks(target, p, generator)
        of_pictures, rates = draw_picture_masks(target, generator)
        p = torch.where(drawn[:, 0], rates, masking_probability(p, lengths))
        return Targets(masked=torch.where(drawn, of_pictures, of_text)[None], p=p[None], lengths=lengths)


def draw_picture_masks(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw masks [B, L] among `target` [B, L] and their shares [B]: cos(pi u / 2) of the places, at least one.

    Which places is drawn without order (arXiv 2202.04200).
    """
    rate = torch.cos(math.pi * 0.5 * torch.rand(len(target), generator=generator))
    lengths = target.sum(-1)
    counts = (lengths * rate).round().clamp(min=1)
    order = torch.rand(target.shape, generator=generator).masked_fill(~target, torch.inf).argsort(-1).argsort(-1)
    return target & (order < counts[:, None]), counts / lengths.clamp(min=1)


def kinds_of(ids: Tensor, codes: CodesConfig) -> Tensor:
    """Return the kind of each row [B, T] of ids: DRAWN, SHOWN or TEXT."""
    first = ids[:, 0]
    return torch.where(first == codes.draw_id, DRAWN, torch.where(first == codes.read_id, SHOWN, TEXT))


def mixed_loss(
    denoiser: Denoiser,
    x: Tensor,
    ids: Tensor,
    learnt: Tensor,
    kinds: Tensor,
    *,
    coefficients: Sequence[float],
    p: Tensor,
    lengths: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Compute the weighted sum of the mean losses of each kind.

    Args:
        denoiser: The network.
        x: Embeddings [B, L, D], masked already.
        ids: True ids [B, L].
        learnt: Positions [B, L] that are predicted.
        kinds: Of each row [B].
        coefficients: Weight of each kind's mean loss.
        p: Masking probability [B] of rows that are no pictures to draw.
        lengths: Tokens [B] that can be masked in these.
        mask: As in `Denoiser.forward`.

    Returns:
        The sum, the loss of each kind (0 without rows) and the cross-entropy [B, L].
    """
    hidden = denoiser(x, mask=mask)
    logits = denoiser.head(hidden[learnt])
    row_of = learnt.nonzero()[:, 0]
    losses, total = [], logits.new_zeros((), dtype=torch.float32)
    per_token = logits.new_zeros(ids.shape, dtype=torch.float32)
    for kind, coefficient in zip((DRAWN, SHOWN, TEXT), coefficients, strict=True):
        rows = kinds == kind
        loss, ce = masked_loss(
            logits[rows[row_of]], ids[rows], learnt[rows], weighting="mean" if kind == DRAWN else "1/t", p=p[rows],
            lengths=lengths[rows],
        ) if bool(rows.any()) else (total.new_zeros(()), per_token[rows])  # fmt: skip
        losses.append(loss)
        per_token = per_token.masked_scatter(rows[:, None].expand_as(per_token), ce)
        total = total + coefficient * loss
    return total, losses, per_token


def _in_span(ids: Tensor, codes: CodesConfig) -> Tensor:
    first, behind = codes.span
    return (ids >= first) & (ids < behind)
