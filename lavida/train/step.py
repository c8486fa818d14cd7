"""One training step of any family: mask the answers, put the pictures in their places, predict what is masked.

Section 3.2 of arXiv 2505.16839. B rows of T ids; with the pictures in their places they have T' positions. Each row is
seen in C copies: two under masks, or one for next-token prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, chain, islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lavida.data.collate import Batch
from lavida.diffusion.loss import certainty_loss, masked_loss, shift_rows
from lavida.diffusion.masking import draw_copies, draw_moments, trajectory_masks
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError
from lavida.evidence.gather import Evidence
from lavida.image.tiles import Grid, tiles_among
from lavida.model.denoiser import Denoiser
from lavida.model.vlm import VLM
from lavida.text.messages import IMAGE_ID
from lavida.train.distributed import joined
from lavida.train.evidence import TrainingEvidence
from lavida.train.task import BUCKETS

HintIds = Callable[[Tensor], list[int]]  # the tower's own class logits [K] of a picture -> ids that follow its tokens


class TrainingStep(nn.Module):
    """Join a model and an objective; the forward pass is a training step's."""

    def __init__(
        self,
        vlm: VLM,
        objective: Objective,
        *,
        hint_ids: HintIds | None = None,
        evidence: TrainingEvidence | None = None,
    ) -> None:
        super().__init__()
        if vlm.config.shared_image and objective.attention not in ("prefix", "causal"):
            raise ConfigError(
                "this model was trained with its picture apart from the prompt; attention "
                f"{objective.attention!r} does not fit, take prefix"
            )
        self.vlm, self.objective, self.hint_ids, self.evidence = vlm, objective, hint_ids, evidence

    def forward(self, batch: Batch, targets: Targets) -> tuple[Tensor, Tensor]:
        """Compute the loss of a batch, and sum and number [2, BUCKETS] of token losses by masking probability."""
        copies, objective, config = len(targets.masked), self.objective, self.vlm.config
        # 1. each picture passes the tower once and takes its place among the words
        unused = self._unused_tower(batch)
        spliced = splice_batch(self.vlm, batch, self.hint_ids, self.evidence)
        # 2. the masks of each copy, at the positions with pictures
        masked = spliced.gather(targets.masked).flatten(0, 1)  # [C * B, T']
        x, ids = spliced.x.repeat(copies, 1, 1), spliced.gather(batch.ids).repeat(copies, 1)
        if not objective.autoregressive:
            later = None if targets.later is None else spliced.gather(targets.later).flatten(0, 1)
            x = mask_embeddings(self.vlm.denoiser, x, masked if later is None else masked | later)
        # 3. which position attends to which
        mask = _repeated(attention_mask(batch, spliced, objective.attention, shared_image=config.shared_image), copies)
        positions = _repeated(positions_of(batch, spliced), copies)
        # 4. all copies in one forward pass; cross-entropy at the masked positions
        answer = answer_loss(
            self.vlm.denoiser, x, ids, masked, mask=mask, positions=positions, shift=config.denoiser.logit_shift,
            weighting=objective.weighting, p=targets.p.flatten(), lengths=targets.lengths.repeat(copies),
            certainty=objective.certainty, certainty_temperature=objective.certainty_temperature,
        )  # fmt: skip
        return answer.loss + unused, loss_by_probability(answer.per_token.detach(), masked, targets.p.flatten())

    def draw(self, batch: Batch, generator: torch.Generator) -> Targets:
        """Draw the tokens to predict."""
        return draw_targets(batch, self.objective, generator)

    def _unused_tower(self, batch: Batch) -> Tensor | float:
        """Return 0, computed through the tower for a batch without pictures: processes use all parts in one order."""
        vision = self.vlm.config.vision
        if vision is None or any(batch.views) or not joined():
            return 0.0
        weight = self.vlm.denoiser.embedding.weight
        blank = torch.zeros(1, 3, vision.image_size, vision.image_size, device=weight.device, dtype=weight.dtype)
        ((tokens,),) = encode_pictures(self.vlm, [[(blank, Grid(columns=0, rows=0, width=1, height=1))]])
        return 0.0 * tokens.sum()


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Hold the tokens to predict in each copy of a batch."""

    masked: Tensor  # [C, B, T] bool
    p: Tensor  # [C, B] probability that a token was masked
    lengths: Tensor  # [B] tokens that can be masked
    later: Tensor | None = None  # [C, B, T] bool, masked too but not predicted: blocks that come later

    def to(self, device: torch.device | str) -> Targets:
        """Return the same on another device."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Tensor] = {k: value.to(device) for k, value in held.items() if isinstance(value, Tensor)}
        return Targets(**moved)

    def weight(self, weighting: str) -> float:
        """Return the weight of the batch's mean loss among other batches: tokens, or rows for the bound."""
        return float(self.masked.sum()) if weighting == "mean" else float(self.p.numel())


def draw_targets(batch: Batch, objective: Objective, generator: torch.Generator) -> Targets:
    """Draw the masks of a batch; next-token prediction masks nothing and predicts every answer token.

    Raises:
        ConfigError: The objective masks along trajectories and the samples have none.
    """
    target = (batch.answer > 0) & ~batch.frozen & batch.real
    lengths = target.sum(-1).clamp(min=1)
    if objective.autoregressive:
        return Targets(masked=target[None], p=torch.ones(1, len(target)), lengths=lengths)
    if objective.masking == "trajectory":
        return _along_trajectories(batch, objective, generator, lengths)
    masked, p = draw_copies(target, generator, complementary_pair=objective.complementary, eps=objective.eps)
    return Targets(masked=masked, p=p, lengths=lengths)


def _along_trajectories(batch: Batch, objective: Objective, generator: torch.Generator, lengths: Tensor) -> Targets:
    """Return the masks of two moments of decoding; p is the share of the canvas that is masked."""
    if batch.steps is None or batch.blocks is None:
        raise ConfigError('masking "trajectory" needs samples with the model\'s own answers; take the recipe few-steps')
    moments = draw_moments(batch.steps, objective.blank, generator)
    masked, asked = trajectory_masks(batch.steps, batch.blocks, moments)
    p = masked.sum(-1) / (batch.steps >= 0).sum(-1).clamp(min=1)
    return Targets(masked=asked, p=p, lengths=lengths, later=masked & ~asked)


@dataclass(frozen=True, kw_only=True)
class SplicedBatch:
    """Hold a batch with its pictures in their places."""

    x: Tensor  # [B, T', D] embeddings, nothing masked
    source: Tensor  # [B, T'] which of the T ids a position comes from; a picture's tokens share the place of its -200
    image: Tensor  # [B, T'] bool: tokens of a picture and its hint
    visible: Tensor  # [B, T'] bool: False = padding

    def gather(self, values: Tensor) -> Tensor:
        """Return values [..., B, T] of the ids as [..., B, T']."""
        return values.gather(-1, self.source.expand(*values.shape[:-1], -1))


def splice_batch(
    vlm: VLM, batch: Batch, hint_ids: HintIds | None = None, evidence: TrainingEvidence | None = None
) -> SplicedBatch:
    """Encode each picture once and put it in its place, with its evidence if the model is told some."""
    found = None if evidence is None else evidence.of(batch)
    pictures = encode_pictures(vlm, batch.views, hint_ids, evidence, found)
    told = [None for _ in pictures] if evidence is None or found is None else evidence.told(batch, found)
    looked_up = vlm.words(batch.ids)  # once: each look-up's gradient is as large as the vocabulary
    rows, sources = [], []
    for ids, images, words, added in zip(batch.ids, pictures, looked_up, told, strict=True):
        rows.append(vlm.splice(ids, images, words if added is None else words + added.to(words.dtype)))
        counts = torch.ones_like(ids)
        counts[ids == IMAGE_ID] = torch.tensor([len(image) for image in images], dtype=ids.dtype, device=ids.device)
        sources.append(torch.arange(len(ids), device=ids.device).repeat_interleave(counts))
    lengths = torch.tensor([len(source) for source in sources], device=batch.ids.device)
    source = nn.utils.rnn.pad_sequence(sources, batch_first=True)
    inside = torch.arange(source.shape[1], device=source.device) < lengths[:, None]
    return SplicedBatch(
        x=nn.utils.rnn.pad_sequence(rows, batch_first=True),
        source=source,
        image=(batch.ids.gather(1, source) == IMAGE_ID) & inside,
        visible=batch.real.gather(1, source) & inside,
    )


def encode_pictures(
    vlm: VLM,
    rows: Sequence[Sequence[tuple[Tensor, Grid]]],
    hint_ids: HintIds | None = None,
    evidence: TrainingEvidence | None = None,
    found: Sequence[Sequence[Evidence | None]] | None = None,
) -> list[list[Tensor]]:
    """Return the image tokens [T, D] of each row's pictures, hints behind them; all views pass the tower together.

    `found` is the evidence of each picture, which `evidence` puts to its tokens.
    """
    views = [pixels for row in rows for pixels, _ in row]
    if not views:
        return [[] for _ in rows]
    starts = [0, *accumulate(map(len, views))][:-1]
    weight = vlm.denoiser.embedding.weight
    features, classes, _ = vlm.look(torch.cat(views).to(weight), first=starts)
    per_picture = features.split([len(v) for v in views])
    own = [one for row in found for one in row] if found is not None else [None] * len(views)
    pictures: list[Tensor] = []
    for row in rows:
        tiles = tiles_among(vlm.config.tiles, len(row))
        for _, grid in row:
            pictures.append(vlm.image_tokens(per_picture[len(pictures)], grid, tiles).to(weight.dtype))
    if evidence is not None:
        pictures = evidence.tokens(vlm, pictures, own)
    if hint_ids is not None and classes is not None:
        pictures = _with_hints(vlm, pictures, [
            hint_ids(logits) + (evidence.read_ids(one) if evidence is not None and one is not None else [])
            for logits, one in zip(classes, own, strict=True)
        ])  # fmt: skip
    rest = iter(pictures)
    return [list(islice(rest, len(row))) for row in rows]


def _with_hints(vlm: VLM, pictures: list[Tensor], hints: list[list[int]]) -> list[Tensor]:
    """Return the tokens [T, D] of pictures with the words of their hints behind them."""
    ids = torch.tensor(list(chain.from_iterable(hints)), dtype=torch.long, device=pictures[0].device)
    words = vlm.words(ids).split([len(own) for own in hints])
    return [torch.cat((tokens, own.to(tokens))) for tokens, own in zip(pictures, words, strict=True)]


def attention_mask(batch: Batch, spliced: SplicedBatch, attention: str, *, shared_image: bool = False) -> Tensor | None:
    """Return which position attends to which, [B, 1, T', T'], or None for all to all, by the attention of `Objective`.

    Samples of one row do not attend to each other, and nothing attends to padding; a shared image only to itself.
    """
    sample = spliced.gather(batch.sample)
    if attention == "full" and bool(spliced.visible.all()) and not bool(sample.any()):
        return None
    mask = (sample[:, :, None] == sample[:, None, :]) & spliced.visible[:, None, :]
    if attention == "full":
        return mask[:, None]
    if attention == "causal":
        order = torch.arange(sample.shape[-1], device=sample.device)
    elif attention == "turns":
        order = spliced.gather(batch.turn)
    else:
        order = _levels(spliced.gather(batch.answer) > 0, sample, spliced.image & shared_image)
    return (mask & (order[..., :, None] >= order[..., None, :]))[:, None]


def _levels(answer: Tensor, sample: Tensor, apart: Tensor) -> Tensor:
    """Return 0 = a picture that attends to itself only, 1 = prompt, 2 = from a sample's first answer on; [B, T']."""
    begun = answer.cumsum(-1)
    before = torch.zeros_like(begun)  # answer tokens of the row's earlier samples
    starts = torch.diff(sample, dim=-1, prepend=sample[:, :1]) != 0
    before = torch.where(starts, begun - answer.long(), before).cummax(-1).values
    return torch.where(apart, 0, 1 + (begun > before).long())


def positions_of(batch: Batch, spliced: SplicedBatch) -> Tensor | None:
    """Return positions [B, T'] that begin anew with each sample of a row; None where each row has one sample."""
    sample = spliced.gather(batch.sample)
    if not bool(sample.any()):
        return None
    places = torch.arange(sample.shape[1], device=sample.device).expand_as(sample)
    starts = torch.diff(sample, dim=-1, prepend=sample[:, :1]) != 0
    return places - torch.where(starts, places, 0).cummax(-1).values


def mask_embeddings(denoiser: Denoiser, x: Tensor, masked: Tensor) -> Tensor:
    """Return embeddings x [R, L, D] with that of the mask token where `masked` [R, L]."""
    mask_token = denoiser.embed(torch.tensor(denoiser.config.mask_id, device=x.device)).to(x.dtype)
    return torch.where(masked[..., None], mask_token, x)


class AnswerLoss(NamedTuple):
    """Hold the loss of R rows of L positions, and what it was computed from."""

    loss: Tensor  # scalar
    per_token: Tensor  # [R, L] cross-entropy, 0 where nothing is masked
    hidden: Tensor  # [R, L, D]


def answer_loss(
    denoiser: Denoiser,
    x: Tensor,
    ids: Tensor,
    masked: Tensor,
    *,
    mask: Tensor | None = None,
    positions: Tensor | None = None,
    shift: bool = False,
    weighting: str = "mean",
    p: Tensor | None = None,
    lengths: Tensor | None = None,
    weights: Tensor | None = None,
    certainty: float = 0.0,
    certainty_temperature: float = 1.0,
) -> AnswerLoss:
    """Compute the cross-entropy of the tokens `ids` [R, L] where `masked` [R, L]; the head computes no others.

    `x` [R, L, D] is masked already (`mask_embeddings`). With `shift` row i of the network predicts token i + 1
    (`logit_shift` of a configuration). `mask` and `positions` go to `Denoiser.forward`, `weighting`, `p` [R], `lengths`
    [R] and `weights` [R, L] to `masked_loss`. With a weight `certainty`, `certainty_loss` is added.
    """
    hidden = denoiser(x, mask=mask, positions=positions)
    predicting = shift_rows(hidden) if shift else hidden
    logits = denoiser.head(predicting[masked])
    loss, per_token = masked_loss(logits, ids, masked, weighting=weighting, p=p, lengths=lengths, weights=weights)
    if certainty:
        loss = loss + certainty * certainty_loss(logits, ids[masked], temperature=certainty_temperature)
    return AnswerLoss(loss, per_token, hidden)


def loss_by_probability(per_token: Tensor, masked: Tensor, p: Tensor) -> Tensor:
    """Return sum and number [2, BUCKETS] of losses [R, T'] by the masking probability p [R] of their row."""
    bucket = (p * BUCKETS).long().clamp(max=BUCKETS - 1)[:, None].expand_as(masked)[masked]
    out = per_token.new_zeros(2, BUCKETS, dtype=torch.float64)
    out[0].index_add_(0, bucket, per_token[masked].double())
    out[1].index_add_(0, bucket, torch.ones_like(bucket, dtype=torch.float64))
    return out


def _repeated(value: Tensor | None, copies: int) -> Tensor | None:
    """Return a mask or positions [B, ...] for each copy; a single row that serves all stays."""
    return value if value is None or value.shape[0] == 1 else value.repeat(copies, *[1] * (value.dim() - 1))
