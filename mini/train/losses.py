"""The losses of lavida-mini: masked answers in packed rows, a dense loss on cells, and grounding of names in prompts.

The answer loss is that of every family (`lavida.train.step`); the dense and the grounding loss are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.image.tiles import Grid
from lavida.model.denoiser import Denoiser
from lavida.model.projector import arrange, pool
from lavida.model.vlm import VLM
from lavida.nn.attention import segment_mask
from lavida.train.step import answer_loss
from mini.train.batches import IGNORED, MOST, CellVocabulary, SceneBatch, Views
from mini.train.packing import PackedRows

GRID = Grid(columns=2, rows=2, width=448, height=448)
CELLS = 80  # that a name can point at: 16 of the global view, 64 of the tile map


class Heads(nn.Module):
    """Linear heads that training needs and the shipped model does not.

    From the hidden state of a name in a prompt: the cells that show it (`name_cells`), those that hold a centre
    (`name_centres`) and their number (`name_count`). From a cell: whether it holds a centre (`cell_centre`), and the
    offset to the centre of what it shows (`cell_offset`).
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        # The order is that in which random weights are drawn.
        self.name_cells = nn.Linear(d_model, CELLS)
        self.name_centres = nn.Linear(d_model, CELLS)
        self.name_count = nn.Linear(d_model, MOST + 1)
        self.cell_centre = nn.Linear(d_model, 1)
        self.cell_offset = nn.Linear(d_model, 2)
        self.scale = nn.Parameter(torch.tensor(20.0))


@dataclass(frozen=True, kw_only=True)
class LossFigures:
    """Hold the logged figures of a batch."""

    answer: float  # weighted masked cross-entropy
    content: float  # the part of it on tokens that are not padding
    dense: float
    cells: float  # share of object cells whose name is the first guess
    ground: float
    counted: float  # share of the names in prompts whose number is right
    questions: int


def embed_rows(
    denoiser: Denoiser, ids: Tensor, picture: Tensor, image: Tensor, told: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Embed ids [B, R]; image tokens [N, T, D] take the first places, and what is `told` is added (`packed_loss`)."""
    x = denoiser.embed(ids)
    x = torch.cat((image.to(x.dtype)[picture], x[:, image.shape[1] :]), dim=1)
    if told is not None:
        x = x.flatten(0, 1).index_add(0, told[0], told[1].to(x.dtype)).view_as(x)
    return x


@dataclass(frozen=True, kw_only=True)
class PackedLoss:
    """Hold the loss of packed rows."""

    loss: Tensor  # scalar
    content: Tensor  # scalar, of the tokens that are not padding
    hidden: Tensor  # [B * R, D]


def batch_loss(vlm: VLM, heads: Heads, batch: SceneBatch, views: Views | None) -> tuple[Tensor, LossFigures]:
    """Compute the loss of packed rows and, if given, of views for the dense loss alone."""
    vocabulary, packed = batch.vocabulary, batch.packed
    with torch.autocast(batch.words.device.type, dtype=torch.bfloat16):
        # 1. image tokens: symbolic scenes, and pictures through the tower's last blocks and the projector
        cells = symbolic_cells(vlm, batch.noisy_words, batch.noise)
        dense, right = cells.new_zeros(()), cells.new_zeros(())
        if batch.maps is not None:
            encoded = encode_views(vlm, batch.maps)  # [S, 5, 16, D]
            cells = cells.index_copy(0, batch.with_pixels, encoded.to(cells.dtype))
            if batch.scenes.numel():
                of_scenes = flatten_cells(cells[batch.scenes])
                words, offsets = batch.words[batch.scenes], batch.offsets[batch.scenes]
                dense, right = dense_loss(of_scenes, words, offsets, vocabulary, vlm, heads)
        if views is not None:
            of_views = encode_views(vlm, views.maps)
            extra, right = dense_loss(of_views, views.words, views.offsets, vocabulary, vlm, heads)
            dense = dense + extra
        # 2. the masked answers, and where the names in the prompts are
        answer = packed_loss(vlm.denoiser, packed, image_tokens(vlm, cells))
        ground, counted = grounding_loss(answer.hidden.index_select(0, packed.name_positions), batch, heads)
    figures = LossFigures(
        answer=float(answer.loss.detach()),
        content=float(answer.content.detach()),
        dense=float(dense.detach()),
        cells=float(right.detach()),
        ground=float(ground.detach()),
        counted=float(counted.detach()),
        questions=packed.questions,
    )
    return answer.loss + 0.5 * dense + ground, figures


def views_loss(vlm: VLM, heads: Heads, views: Views, vocabulary: CellVocabulary) -> tuple[Tensor, LossFigures]:
    """Compute the loss of views alone, which trains projector and tower: stages "align" and "tower"."""
    with torch.autocast(views.words.device.type, dtype=torch.bfloat16):
        cells = encode_views(vlm, views.maps)
        dense, right = dense_loss(cells, views.words, views.offsets, vocabulary, vlm, heads)
    figures = LossFigures(
        answer=0.0, content=0.0, dense=float(dense.detach()), cells=float(right.detach()), ground=0.0, counted=0.0,
        questions=0,
    )  # fmt: skip
    return dense, figures


def packed_loss(
    denoiser: Denoiser, rows: PackedRows, image: Tensor, told: tuple[Tensor, Tensor] | None = None
) -> PackedLoss:
    """Compute the weighted mean cross-entropy of masked answer tokens (eq. 3 of arXiv 2505.16839, official weighting).

    With `rows.bound_weights` it is the bound on the likelihood instead, in which a token counts 1 / t (eq. 2).

    Args:
        denoiser: The network.
        rows: B rows of R positions.
        image: Image tokens [N, T, D] of the N pictures, which fill the first T positions of their rows.
        told: Flat positions [M] in the rows, and vectors [M, D] to add there: what evidence says of names.
    """
    # 1. embed; the image tokens take the place of the first ids
    x = embed_rows(denoiser, rows.ids, rows.picture, image, told)
    # 2. the attention mask, additive and made once for all layers
    visible = segment_mask(rows.segment, rows.parent)
    mask = torch.zeros(visible.shape, dtype=torch.bfloat16, device=visible.device).masked_fill_(~visible, float("-inf"))
    # 3. cross-entropy at the masked positions; by default every token is masked in exactly one of two copies
    answer = answer_loss(
        denoiser, x, rows.targets, rows.masked, mask=mask, positions=rows.positions, weights=rows.weights
    )  # fmt: skip
    loss = answer.loss if rows.bound_weights is None else (rows.bound_weights * answer.per_token).sum()
    content = answer.per_token[rows.masked & (rows.weights == 1)].mean()
    return PackedLoss(loss=loss, content=content, hidden=answer.hidden.flatten(0, 1))


def dense_loss(
    cells: Tensor, words: Tensor, offsets: Tensor, vocabulary: CellVocabulary, vlm: VLM, heads: Heads
) -> tuple[Tensor, Tensor]:
    """Compute how well cells predict the name of what they show and, with half the weight, its colour.

    Names are predicted through the tied embedding. Linear heads predict which cells hold an object's centre and, from
    every cell, the offset to it: without that, touching things of one name cannot be separated, and not be counted.

    Args:
        cells: The projector's output [..., D].
        words: Name, colour or -1, and centre [..., 3]; a few empty cells must predict "nothing".
        offsets: Right and down [..., 2], in cells.
        vocabulary: The words that a cell can show.
        vlm: The model, for its embeddings.
        heads: The linear heads.

    Returns:
        The loss and the share of object cells whose name is the first guess.
    """
    name, colour, centre = words.unbind(-1)
    occupied = name != vocabulary.nothing
    keep = occupied | (torch.rand(name.shape, device=name.device) < 0.06)
    cells, name, colour, centre = cells[keep].float(), name[keep], colour[keep], centre[keep].float()
    table = vlm.denoiser.embedding.weight
    candidates = F.normalize(F.embedding(vocabulary.candidates, table), dim=-1)
    logits = F.normalize(cells, dim=-1) @ candidates.T * heads.scale
    target = vocabulary.index_of[name]
    loss = F.cross_entropy(logits, target)
    coloured = colour >= 0
    if coloured.any():  # the name's logit is left out, so that name and colour need not compete
        others = logits[coloured].scatter(1, target[coloured, None], -30.0)
        loss = loss + 0.5 * F.cross_entropy(others, vocabulary.index_of[colour[coloured]])
    # the direction of the word embeddings that stage "words" was trained on
    embedded = F.embedding(name, table) + 0.5 * F.embedding(colour.clamp(min=0), table) * coloured[:, None]
    loss = loss + 0.5 * (1 - F.cosine_similarity(cells, embedded.detach(), dim=-1)).mean()
    loss = loss + _rare_positive_loss(heads.cell_centre(cells)[:, 0], centre)
    loss = loss + F.smooth_l1_loss(heads.cell_offset(cells).float(), offsets[keep])
    return loss, (logits.argmax(-1) == target)[name != vocabulary.nothing].float().mean()


def grounding_loss(hidden: Tensor, batch: SceneBatch, heads: Heads) -> tuple[Tensor, Tensor]:
    """Compute how well the hidden states [G, D] of names in prompts predict where each is in the picture, and how many.

    Presence, colour, number and relation all rest on matching a word with its cells; without this loss that circuit
    forms late. Returns the loss and the share of the numbers that are right.
    """
    if not len(hidden):  # the mean of nothing is no number
        unused = (heads.name_cells, heads.name_centres, heads.name_count)
        return sum((head(hidden).float().sum() for head in unused), hidden.new_zeros(())), hidden.sum()
    loss = _rare_positive_loss(heads.name_cells(hidden), batch.name_cells)
    loss = loss + _rare_positive_loss(heads.name_centres(hidden), batch.name_centres)
    logits, known = heads.name_count(hidden).float(), batch.counts != IGNORED
    loss = loss + 0.5 * (F.cross_entropy(logits, batch.counts.clamp(min=0), reduction="none") * known).mean()
    right = (logits.argmax(-1) == batch.counts)[known].float()
    return loss, right.sum() / max(len(right), 1)


def _rare_positive_loss(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return the binary cross-entropy of scores against 0 or 1, of which 1 is the rarer."""
    return F.binary_cross_entropy_with_logits(scores.float(), wanted, pos_weight=scores.new_tensor(4.0).float())


def encode_views(vlm: VLM, maps: Tensor) -> Tensor:
    """Return cells [..., 16, D] of trunk maps [..., 196, 80]."""
    return pool(vlm.projector(vlm.tower.features(maps)))


def symbolic_cells(vlm: VLM, words: Tensor, noise: Tensor) -> Tensor:
    """Return cells [B, 5, 16, D] of symbolic scenes [B, 80, 3]: the name's embedding, half the colour's, noise."""
    table = vlm.denoiser.embedding.weight
    # `F.embedding`, not `table[...]`, whose gradient on two threads adds up in any order
    names, colours = F.embedding(words[..., 0], table), F.embedding(words[..., 1].clamp(min=0), table)
    cells = names + 0.5 * colours * (words[..., 1:2] >= 0)
    cells = cells + 0.35 * cells.norm(dim=-1, keepdim=True) * noise / cells.shape[-1] ** 0.5
    tiles = cells[:, 16:].unflatten(1, (2, 4, 2, 4)).transpose(2, 3).flatten(1, 2).flatten(2, 3)
    return torch.cat((cells[:, None, :16], tiles), 1)


def flatten_cells(cells: Tensor) -> Tensor:
    """Reorder [B, 5, 16, D] to [B, 80, D]: the global view's cells, then the map of the tiles row by row."""
    tiles = cells[:, 1:].unflatten(1, (2, 2)).unflatten(3, (4, 4)).transpose(2, 3).flatten(1, 4)
    return torch.cat((cells[:, 0], tiles), 1)


def image_tokens(vlm: VLM, cells: Tensor) -> Tensor:
    """Return image tokens [B, 88, D] of projected and pooled cells: as `VLM.image_tokens` from there on."""
    tokens = arrange(cells, GRID, vlm.config.tiles, vlm.newline)
    return tokens + vlm.positions(GRID, vlm.config.tiles, 4).to(tokens.dtype)
