"""One optimisation step: packed complementary answers, the Prefix-DLM mask, the dense loss at the projector's output."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.data.packing import Batch
from lavida.nn.attention import segment_mask


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What a step reports: masked cross-entropy of the answers, dense loss of the cells and its accuracy."""

    answer: float
    content: float  # the part of it on tokens that are not padding
    dense: float
    cells: float  # cells with an object whose name is found


def answer_loss(denoiser: nn.Module, batch: Batch, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted mean cross-entropy of the masked answer tokens (eq. 3 of arXiv 2505.16839, official weighting).

    `image` [B, T, D] fills the first T positions of each row. Returns the loss, that of the content tokens alone,
    and the hidden states [B * R, D].
    """
    # 1. embed; the image's vectors take the place of the first ids
    x = denoiser.embed(batch.ids)
    x = torch.cat((image.to(x.dtype), x[:, image.shape[1] :]), dim=1)
    # 2. who sees whom, as an additive mask made once for all layers
    mask = segment_mask(batch.segment, batch.parent)
    mask = torch.zeros(mask.shape, dtype=torch.bfloat16, device=mask.device).masked_fill_(~mask, float("-inf"))
    # 3. hidden states, then logits at the masked positions only
    hidden = denoiser(x, positions=batch.positions, mask=mask)
    hidden = hidden.flatten(0, 1)
    logits = denoiser.head(hidden[batch.where])
    # 4. cross-entropy; every answer token is masked in exactly one of its two copies
    losses = F.cross_entropy(logits.float(), batch.targets, reduction="none")
    content = losses[batch.weights == 1].mean()
    return (losses * batch.weights).sum() / batch.weights.sum(), content, hidden


def grounding_loss(scores: Tensor, shown: Tensor) -> Tensor:
    """A name in a prompt must know where it is in the picture: scores [G, C] against shown [G, C] (1 = this cell).

    Presence, colour and relation all rest on matching a word with its cells; without this loss that circuit forms late.
    """
    return F.binary_cross_entropy_with_logits(scores.float(), shown, pos_weight=scores.new_tensor(4.0).float())


def dense_loss(cells: Tensor, words: Tensor, denoiser: nn.Module, scale: Tensor, nothing: int) -> tuple[Tensor, Tensor]:
    """Each cell must say the name of what it shows, through the tied embedding, and its colour with half the weight.

    cells [B, C, D] before positions are added; words [B, C, 2] (name, colour or -1). Empty cells count one in
    twenty-five. Returns the loss and the share of object cells whose name is the first guess.
    """
    name, colour = words.unbind(-1)
    busy = name != nothing
    keep = busy | (torch.rand(name.shape, device=name.device) < 0.04)
    table = denoiser.embedding.weight
    picked, name, colour = cells[keep], name[keep], colour[keep]
    logits = F.linear(F.normalize(picked.float(), dim=-1), table) * scale
    loss = F.cross_entropy(logits, name)
    coloured = colour >= 0
    if coloured.any():
        # the name's logit is left out, so that name and colour need not compete
        rest = logits[coloured].scatter(1, name[coloured, None], float("-inf"))
        loss = loss + 0.5 * F.cross_entropy(rest, colour[coloured])
    # direction and length of the words that stage "words" was trained on
    true = table[name] + 0.5 * table[colour.clamp(min=0)] * coloured[:, None]
    loss = loss + (1 - F.cosine_similarity(picked.float(), true.detach(), dim=-1)).mean()
    right = (logits.argmax(-1) == name)[name != nothing]
    return loss, right.float().mean()


def apply(optimizer: torch.optim.Optimizer, parameters: list[Tensor], loss: Tensor, clip: float = 1.0) -> float:
    """Backward, clip, step; returns the gradient's norm."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return float(norm)
