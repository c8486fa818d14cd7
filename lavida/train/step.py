"""The loss of a batch for a model of any family: draw masks, put the pictures in, predict what is hidden.

Section 3.2 of arXiv 2505.16839. B rows of T ids; with the pictures in their places they have T' positions. A row is
seen in C copies: two under masks, or one for next-token prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from lavida.config import VLMConfig
from lavida.data.collate import Batch
from lavida.diffusion.loss import masked_loss, shift_rows
from lavida.diffusion.masking import complementary, draw_masks, masking_odds, sample_times
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError
from lavida.image.tiles import Grid, tiles_among
from lavida.model.vlm import VLM
from lavida.text.messages import IMAGE_ID
from lavida.train.processes import together
from lavida.train.task import BUCKETS

HintOf = Callable[[Tensor], list[int]]  # the tower's own logits [K] of a picture -> ids that follow its tokens


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What is to be found in each copy of a batch."""

    masked: Tensor  # [C, B, T] bool
    odds: Tensor  # [C, B] how likely a token was to be masked
    lengths: Tensor  # [B] tokens that can be

    def to(self, device: torch.device | str) -> Hidden:
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return Hidden(**moved)

    def weight(self, weighting: str) -> float:
        """What the mean loss counts for among those of other batches: tokens, or rows for the bound."""
        return float(self.masked.sum()) if weighting == "mean" else float(self.odds.numel())


def hide(batch: Batch, objective: Objective, generator: torch.Generator) -> Hidden:
    """Draw the masks of a batch; for next-token prediction every answer token is to be found, and none is masked."""
    target = (batch.answer > 0) & ~batch.frozen & batch.real
    rows, lengths = len(target), target.sum(-1).clamp(min=1)
    if objective.autoregressive:
        return Hidden(masked=target[None], odds=torch.ones(1, rows), lengths=lengths)
    if objective.complementary:
        p = sample_times(rows, generator, objective.eps)
        masked = torch.stack(complementary(draw_masks(target, p, generator), target))
        odds = masking_odds(p, lengths)
        odds = torch.stack((odds, 1 - odds)).clamp(min=objective.eps)
        return Hidden(masked=masked, odds=odds, lengths=lengths)
    p = torch.stack([sample_times(rows, generator, objective.eps) for _ in range(2)])
    masked = torch.stack([draw_masks(target, one, generator) for one in p])
    return Hidden(masked=masked, odds=masking_odds(p, lengths), lengths=lengths)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A batch with its pictures in their places."""

    x: Tensor  # [B, T', D] embeddings, nothing masked
    source: Tensor  # [B, T'] which of the T ids stands here; a picture's tokens all have the place of its -200
    image: Tensor  # [B, T'] bool: tokens of a picture and its hint
    seen: Tensor  # [B, T'] bool: False = filling

    def take(self, values: Tensor) -> Tensor:
        """Values [..., B, T] of the ids as [..., B, T']."""
        return values.gather(-1, self.source.expand(*values.shape[:-1], -1))


def spread(vlm: VLM, batch: Batch, hint_of: HintOf | None = None) -> Spread:
    """Encode each picture once and put it in its place."""
    pictures = encode_pictures(vlm, batch.views, hint_of)
    rows, sources = [], []
    for ids, images in zip(batch.ids, pictures, strict=True):
        rows.append(vlm.splice(ids, images))
        counts = torch.ones_like(ids)
        counts[ids == IMAGE_ID] = torch.tensor([len(one) for one in images], dtype=ids.dtype, device=ids.device)
        sources.append(torch.arange(len(ids), device=ids.device).repeat_interleave(counts))
    lengths = torch.tensor([len(source) for source in sources], device=batch.ids.device)
    source = nn.utils.rnn.pad_sequence(sources, batch_first=True)
    inside = torch.arange(source.shape[1], device=source.device) < lengths[:, None]
    return Spread(
        x=nn.utils.rnn.pad_sequence(rows, batch_first=True),
        source=source,
        image=(batch.ids.gather(1, source) == IMAGE_ID) & inside,
        seen=batch.real.gather(1, source) & inside,
    )


def encode_pictures(
    vlm: VLM, rows: Sequence[Sequence[tuple[Tensor, Grid]]], hint_of: HintOf | None = None
) -> list[list[Tensor]]:
    """Image tokens [T, D] of the pictures of each row, the hint behind them; all views pass the tower together."""
    views = [pixels for row in rows for pixels, _ in row]
    if not views:
        return [[] for _ in rows]
    starts = [sum(map(len, views[:i])) for i in range(len(views))]
    weight = vlm.denoiser.embedding.weight
    features, classes = vlm.look(torch.cat(views).to(weight), first=starts)
    parts = iter(zip(features.split([len(v) for v in views]), classes if classes is not None else [None] * len(views)))
    out = []
    for row in rows:
        tiles, images = tiles_among(vlm.config.tiles, len(row)), []
        for _, grid in row:
            of_picture, logits = next(parts)
            tokens = vlm.image_tokens(of_picture, grid, tiles).to(weight.dtype)
            if hint_of is not None and logits is not None:
                ids = torch.tensor(hint_of(logits), dtype=torch.long, device=weight.device)
                tokens = torch.cat((tokens, vlm.denoiser.embed(ids).to(tokens)))
            images.append(tokens)
        out.append(images)
    return out


def attention_mask(batch: Batch, at: Spread, attention: str, *, shared_image: bool = False) -> Tensor | None:
    """Who sees whom, [B, 1, T', T'] or None for all; `attention` is that of `Objective`.

    Samples of one row do not see each other and nobody sees filling. With `shared_image` a picture sees only itself.
    """
    sample = at.take(batch.sample)
    if attention == "full" and bool(at.seen.all()) and not bool(sample.any()):
        return None
    mask = (sample[:, :, None] == sample[:, None, :]) & at.seen[:, None, :]
    if attention == "causal":
        order = torch.arange(mask.shape[-1], device=mask.device)
    elif attention == "turns":
        order = at.take(batch.turn)
    elif attention == "prefix":
        order = _levels(at.take(batch.answer) > 0, sample, at.image & shared_image)
    else:
        return mask[:, None]
    return (mask & (order[..., :, None] >= order[..., None, :]))[:, None]


def _levels(answer: Tensor, sample: Tensor, apart: Tensor) -> Tensor:
    """0 = a picture that sees only itself, 1 = prompt, 2 = from a sample's first answer on; all [B, T']."""
    begun = answer.cumsum(-1)
    before = torch.zeros_like(begun)  # answer tokens of the row's earlier samples
    starts = torch.diff(sample, dim=-1, prepend=sample[:, :1]) != 0
    before = torch.where(starts, begun - answer.long(), before).cummax(-1).values
    return torch.where(apart, 0, 1 + (begun > before).long())


def positions_of(batch: Batch, at: Spread) -> Tensor | None:
    """Positions [B, T'] that begin anew with each sample of a row; None where each row has one sample."""
    sample = at.take(batch.sample)
    if not bool(sample.any()):
        return None
    places = torch.arange(sample.shape[1], device=sample.device).expand_as(sample)
    starts = torch.diff(sample, dim=-1, prepend=sample[:, :1]) != 0
    return places - torch.where(starts, places, 0).cummax(-1).values


def hidden_loss(
    vlm: VLM,
    x: Tensor,
    ids: Tensor,
    masked: Tensor,
    *,
    noised: bool = True,
    mask: Tensor | None = None,
    positions: Tensor | None = None,
    **weighted: Any,
) -> tuple[Tensor, Tensor]:
    """Loss and per-token cross-entropy [R, T'] of the tokens `ids` [R, T'] that are to be found where `masked`.

    x [R, T', D] are their embeddings, which `noised` replaces by that of the mask token; `mask` and `positions` as in
    `Denoiser.forward`, `weighted` as in `masked_loss`.
    """
    denoiser = vlm.denoiser
    if noised:
        hole = denoiser.embed(torch.tensor(denoiser.config.mask_id, device=x.device)).to(x.dtype)
        x = torch.where(masked[..., None], hole, x)
    hidden = denoiser(x, mask=mask, positions=positions)
    if denoiser.config.logit_shift:
        hidden = shift_rows(hidden)
    return masked_loss(denoiser.head(hidden[masked]), ids, masked, **weighted)


class Learner(nn.Module):
    """A model under an objective; its forward pass is a training step's."""

    def __init__(self, vlm: VLM, objective: Objective, *, hint_of: HintOf | None = None) -> None:
        super().__init__()
        check_objective(vlm.config, objective)
        self.vlm, self.objective, self.hint_of = vlm, objective, hint_of

    def forward(self, batch: Batch, hidden: Hidden) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and sum and number [2, BUCKETS] of token losses by masking probability."""
        # 1. pictures once, then all that is known of each position in each copy
        idle = self._idle(batch)
        at, copies = spread(self.vlm, batch, self.hint_of), len(hidden.masked)
        masked, odds = at.take(hidden.masked).flatten(0, 1), hidden.odds.flatten()
        attention, shared = self.objective.attention, self.vlm.config.shared_image
        mask, positions = attention_mask(batch, at, attention, shared_image=shared), positions_of(batch, at)
        # 2. the copies side by side
        loss, per_token = hidden_loss(
            self.vlm,
            at.x.repeat(copies, 1, 1),
            at.take(batch.ids).repeat(copies, 1),
            masked,
            noised=not self.objective.autoregressive,
            mask=_repeated(mask, copies),
            positions=_repeated(positions, copies),
            weighting=self.objective.weighting,
            p=odds,
            lengths=hidden.lengths.repeat(copies),
        )
        return loss + idle, by_odds(per_token.detach(), masked, odds)

    def _idle(self, batch: Batch) -> Tensor | float:
        """0, through the eyes of a batch that has no picture: processes must use all parts in the same order."""
        vision = self.vlm.config.vision
        if vision is None or any(batch.views) or not together():
            return 0.0
        weight = self.vlm.denoiser.embedding.weight
        blank = torch.zeros(1, 3, vision.image_size, vision.image_size, device=weight.device, dtype=weight.dtype)
        ((tokens,),) = encode_pictures(self.vlm, [[(blank, Grid(columns=0, rows=0, width=1, height=1))]])
        return 0.0 * tokens.sum()


def check_objective(config: VLMConfig, objective: Objective) -> None:
    """Raise ConfigError for an objective that the model could not answer by."""
    if config.shared_image and objective.attention not in ("prefix", "causal"):
        raise ConfigError(
            f"this model keeps its picture apart from the prompt and was trained so; attention {objective.attention!r} "
            "does not fit, take prefix"
        )


def by_odds(per_token: Tensor, masked: Tensor, odds: Tensor) -> Tensor:
    """Sum and number [2, BUCKETS] of losses [R, T'] by how likely [R] the token was to be masked."""
    bucket = (odds * BUCKETS).long().clamp(max=BUCKETS - 1)[:, None].expand_as(masked)[masked]
    out = per_token.new_zeros(2, BUCKETS, dtype=torch.float64)
    out[0].index_add_(0, bucket, per_token[masked].double())
    out[1].index_add_(0, bucket, torch.ones_like(bucket, dtype=torch.float64))
    return out


def _repeated(value: Tensor | None, copies: int) -> Tensor | None:
    """A mask or positions [B, ...] for each copy; what is the same for all rows stays."""
    return value if value is None or value.shape[0] == 1 else value.repeat(copies, *[1] * (value.dim() - 1))
