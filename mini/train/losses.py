"""The loss of the default model: packed complementary answers, the Prefix-DLM mask, two dense losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.diffusion.loss import masked_loss
from lavida.image.tiles import Grid
from lavida.model.projector import arrange, pool
from lavida.model.vlm import VLM
from lavida.nn.attention import segment_mask
from mini.train.batches import IGNORED, MOST, Rows, Targets, Views
from mini.train.packing import Batch

GRID = Grid(columns=2, rows=2, width=448, height=448)
GROUNDED = 80  # cells that a name can point at: 16 of the global view, 64 of the tile map


class Heads(nn.Module):
    """What training needs and the shipped model does not.

    A name in a prompt tells which cells show it (`ground`), which hold a centre (`centred`) and how many there are
    (`number`); a cell tells whether it holds a centre, and the way to that of what it shows.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.ground = nn.Linear(d_model, GROUNDED)
        self.centred = nn.Linear(d_model, GROUNDED)
        self.number = nn.Linear(d_model, MOST + 1)
        self.centre = nn.Linear(d_model, 1)
        self.way = nn.Linear(d_model, 2)
        self.sharpness = nn.Parameter(torch.tensor(20.0))


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What a batch reports."""

    answer: float  # weighted masked cross-entropy
    content: float  # the part of it on tokens that are not padding
    dense: float
    cells: float  # share of object cells whose name is the first guess
    ground: float
    counted: float  # share of the names in prompts whose number is told rightly
    questions: int


def rows_loss(vlm: VLM, heads: Heads, rows: Rows, views: Views | None) -> tuple[Tensor, Losses]:
    """The loss, to be differentiated, of packed rows and, if given, of views for the dense loss alone."""
    with torch.autocast(rows.words.device.type, dtype=torch.bfloat16):
        # 1. image tokens: scenes told in words, and pictures through the tower's last blocks and the projector
        cells = cells_from_words(vlm, rows.heard, rows.noise)
        dense, found = cells.new_zeros(()), cells.new_zeros(())
        if rows.maps is not None:
            seen = see(vlm, rows.maps)  # [S, 5, 16, D]
            cells = cells.index_copy(0, rows.pictured, seen.to(cells.dtype))
            if rows.scenes.numel():
                of_scenes = flatten_cells(cells[rows.scenes])
                words, ways = rows.words[rows.scenes], rows.ways[rows.scenes]
                dense, found = dense_loss(of_scenes, words, ways, rows.targets, vlm, heads)
        if views is not None:
            extra, found = dense_loss(see(vlm, views.maps), views.words, views.ways, rows.targets, vlm, heads)
            dense = dense + extra
        # 2. the masked answers, and where the names in the prompts are
        answer, content, hidden = answer_loss(vlm.denoiser, rows.batch, image_tokens(vlm, cells))
        ground, counted = grounding_loss(hidden.index_select(0, rows.batch.nouns), rows, heads)
    told = Losses(
        answer=float(answer.detach()),
        content=float(content.detach()),
        dense=float(dense.detach()),
        cells=float(found.detach()),
        ground=float(ground.detach()),
        counted=float(counted),
        questions=rows.batch.questions,
    )
    return answer + 0.5 * dense + ground, told


def views_loss(vlm: VLM, heads: Heads, views: Views, targets: Targets) -> tuple[Tensor, Losses]:
    """The loss of views alone, which trains projector and tower: stages "align" and "tower"."""
    with torch.autocast(views.words.device.type, dtype=torch.bfloat16):
        dense, found = dense_loss(see(vlm, views.maps), views.words, views.ways, targets, vlm, heads)
    told = Losses(
        answer=0.0, content=0.0, dense=float(dense.detach()), cells=float(found.detach()), ground=0.0, counted=0.0,
        questions=0,
    )  # fmt: skip
    return dense, told


def see(vlm: VLM, maps: Tensor) -> Tensor:
    """Cells [..., 16, D] of trunk maps [..., 196, 80]."""
    return pool(vlm.projector(vlm.tower.features(maps)))


def answer_loss(denoiser: nn.Module, batch: Batch, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted mean cross-entropy of the answer tokens to be found (eq. 3 of arXiv 2505.16839, official weighting).

    With `batch.bound` it is the bound on the likelihood instead, in which a token counts 1 / t (eq. 2).

    `image` [N, T, D] of the N pictures fills the first T positions of their rows. Returns the loss, that of the content
    tokens alone, and the hidden states [B * R, D].
    """
    # 1. embed; the image's vectors take the place of the first ids
    x = denoiser.embed(batch.ids)
    x = torch.cat((image.to(x.dtype)[batch.picture], x[:, image.shape[1] :]), dim=1)
    # 2. who sees whom, as an additive mask made once for all layers
    seen = segment_mask(batch.segment, batch.parent)
    mask = torch.zeros(seen.shape, dtype=torch.bfloat16, device=seen.device).masked_fill_(~seen, float("-inf"))
    # 3. hidden states, then logits at the masked positions only
    hidden = denoiser(x, positions=batch.positions, mask=mask).flatten(0, 1)
    masked = batch.masked.flatten()
    logits = denoiser.head(hidden[masked])
    # 4. cross-entropy; by default every answer token is masked in exactly one of its two copies
    loss, per_token = masked_loss(logits, batch.targets, batch.masked, weights=batch.weights)
    if batch.bound is not None:
        loss = (batch.bound * per_token).sum()
    return loss, per_token[batch.masked & (batch.weights == 1)].mean(), hidden


def dense_loss(
    cells: Tensor, words: Tensor, ways: Tensor, targets: Targets, vlm: VLM, heads: Heads
) -> tuple[Tensor, Tensor]:
    """Each cell must log the name of what it shows, through the tied embedding, and its colour with half the weight.

    Linear heads must tell which cells hold an object's centre and, from every cell, the way to it: without that, things
    of one name that touch cannot be told apart, and not be counted.
    cells [..., D] at the projector's output; words [..., 3] (name, colour or -1, centre); ways [..., 2] in cells. A few
    empty cells must log "nothing". Returns the loss and the share of object cells whose name is the first guess.
    """
    name, colour, centre = words.unbind(-1)
    busy = name != targets.nothing
    keep = busy | (torch.rand(name.shape, device=name.device) < 0.06)
    cells, name, colour, centre = cells[keep].float(), name[keep], colour[keep], centre[keep].float()
    table = vlm.denoiser.embedding.weight
    candidates = F.normalize(F.embedding(targets.candidates, table), dim=-1)
    logits = F.normalize(cells, dim=-1) @ candidates.T * heads.sharpness
    target = targets.index_of[name]
    loss = F.cross_entropy(logits, target)
    coloured = colour >= 0
    if coloured.any():  # the name's logit is left out, so that name and colour need not compete
        others = logits[coloured].scatter(1, target[coloured, None], -30.0)
        loss = loss + 0.5 * F.cross_entropy(others, targets.index_of[colour[coloured]])
    # the direction of the words that stage "words" has read
    spoken = F.embedding(name, table) + 0.5 * F.embedding(colour.clamp(min=0), table) * coloured[:, None]
    loss = loss + 0.5 * (1 - F.cosine_similarity(cells, spoken.detach(), dim=-1)).mean()
    loss = loss + _found(heads.centre(cells)[:, 0], centre)
    loss = loss + F.smooth_l1_loss(heads.way(cells).float(), ways[keep])
    return loss, (logits.argmax(-1) == target)[name != targets.nothing].float().mean()


def grounding_loss(hidden: Tensor, rows: Rows, heads: Heads) -> tuple[Tensor, Tensor]:
    """A name in a prompt must know where it is in the picture, and how many: hidden states [G, D] of the names.

    Presence, colour, number and relation all rest on matching a word with its cells; without this loss that circuit
    forms late. Returns the loss and the share of the numbers that are right.
    """
    if not len(hidden):  # the mean of nothing is no number
        return sum(head(hidden).float().sum() for head in (heads.ground, heads.centred, heads.number)), hidden.sum()
    loss = _found(heads.ground(hidden), rows.shown) + _found(heads.centred(hidden), rows.centred)
    told, known = heads.number(hidden).float(), rows.numbers != IGNORED
    loss = loss + 0.5 * (F.cross_entropy(told, rows.numbers.clamp(min=0), reduction="none") * known).mean()
    right = (told.argmax(-1) == rows.numbers)[known].float()
    return loss, right.sum() / max(len(right), 1)


def _found(scores: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy of scores against 0 or 1, of which 1 is the rarer."""
    return F.binary_cross_entropy_with_logits(scores.float(), wanted, pos_weight=scores.new_tensor(4.0).float())


def cells_from_words(vlm: VLM, words: Tensor, noise: Tensor) -> Tensor:
    """Cells [B, 5, 16, D] of scenes told in words [B, 80, 3]: the name's embedding, half the colour's, noise."""
    table = vlm.denoiser.embedding.weight
    # `F.embedding`, not `table[...]`, whose gradient on two threads adds up in any order
    names, colours = F.embedding(words[..., 0], table), F.embedding(words[..., 1].clamp(min=0), table)
    cells = names + 0.5 * colours * (words[..., 1:2] >= 0)
    cells = cells + 0.35 * cells.norm(dim=-1, keepdim=True) * noise / cells.shape[-1] ** 0.5
    tiles = cells[:, 16:].unflatten(1, (2, 4, 2, 4)).transpose(2, 3).flatten(1, 2).flatten(2, 3)
    return torch.cat((cells[:, None, :16], tiles), 1)


def flatten_cells(cells: Tensor) -> Tensor:
    """[B, 5, 16, D] -> [B, 80, D]: the global view's cells, then the map of the tiles row by row."""
    tiles = cells[:, 1:].unflatten(1, (2, 2)).unflatten(3, (4, 4)).transpose(2, 3).flatten(1, 4)
    return torch.cat((cells[:, 0], tiles), 1)


def image_tokens(vlm: VLM, cells: Tensor) -> Tensor:
    """Image tokens [B, 88, D] of projected and pooled cells: as `VLM.image_tokens` from there on."""
    tokens = arrange(cells, GRID, vlm.config.tiles, vlm.newline)
    return tokens + vlm.positions(GRID, vlm.config.tiles, 4).to(tokens.dtype)
