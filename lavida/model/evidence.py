"""Let evidence about a photograph enter the denoiser as vectors made of word embeddings.

Each image token gets the names that a classifier gives to its cell, the cell's colours and the boxes that cover it; a
few tokens more describe the picture as a whole and each box. All of it is built from the tied word embeddings, so that
what a cell shows matches the words of a question. Letters: B pictures, C = 80 cells, K boxes, D width of the denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.errors import ConfigError
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.model.mentions import MentionEmbedding
from lavida.text.names import Name
from lavida.text.things import EvidenceWords

GLOBAL, TILES = 4, 8  # cells along a side: of the global view, of the map of 2 x 2 tiles
CELLS = GLOBAL * GLOBAL + TILES * TILES
MOST = 8  # the largest number of things of one kind that is told apart
OCTAVES = 4
WAVES = 6 + 4 * OCTAVES  # numbers that tell where a box lies


class EvidenceEmbedding(nn.Module):
    """Turn evidence into vectors [B, C, D] to add to the image tokens and tokens [B, 2 + K, D] to put before them.

    The words come in by learned gains; the square maps beside them start at zero.
    """

    def __init__(self, d_model: int, *, classes: int, things: int, boxes: int, names: int = 0) -> None:
        super().__init__()
        self.boxes, self.names = boxes, names
        self.mentions = MentionEmbedding(d_model, waves=WAVES) if names else None
        self.gains = nn.Parameter(torch.ones(7, d_model))  # name, kind, Chinese name, colour, box, top, look
        self.cell_map = nn.Linear(d_model, d_model, bias=False)
        self.box_map = nn.Linear(d_model, d_model, bias=False)
        self.top_map = nn.Linear(d_model, d_model, bias=False)
        self.class_own = nn.Parameter(torch.zeros(classes, d_model))
        self.thing_own = nn.Parameter(torch.zeros(things, d_model))
        self.number = nn.Parameter(torch.zeros(MOST + 1, d_model))
        self.count = nn.Parameter(torch.zeros(MOST + 1, d_model))
        self.centre = nn.Parameter(torch.zeros(d_model))
        self.role = nn.Parameter(torch.zeros(3, d_model))  # the picture's names, its look, a box
        self.look = nn.Linear(3, d_model, bias=False)
        self.place = nn.Linear(WAVES, d_model, bias=False)
        self._words: dict[str, tuple[Tensor, Tensor]] = {}
        self._kept: dict[str, Tensor] | None = None

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Initialise in place: words at the strength that symbolic scenes have, everything else small."""
        d_model = self.gains.shape[1]
        for name, parameter in self.named_parameters():
            parameter.zero_()
            if name in ("number", "count", "centre", "role") or name in ("look.weight", "place.weight"):
                parameter.normal_(0.0, 0.3 * d_model**-0.5, generator=generator)
        if self.mentions is not None:
            self.mentions.reset(generator)
        strengths = torch.tensor([1.0, 0.5, 0.3, 0.5, 1.0, 1.0, 0.5])
        self.gains.copy_(strengths[:, None].expand_as(self.gains))

    def train(self, mode: bool = True) -> EvidenceEmbedding:
        """Switch between training and use; what was kept of the embeddings is dropped."""
        self._kept = None
        return super().train(mode)

    def bind(self, words: EvidenceWords, names: Sequence[Name] = ()) -> None:
        """Take the token ids of what evidence names, and the names that are looked up where a prompt holds them.

        Raises:
            ConfigError: Their numbers are not the model's.
        """
        if len(names) != self.names:
            raise ConfigError(
                f"the model looks up {self.names} names and its names.json holds {len(names)}; "
                "take the names.json that belongs to the model"
            )
        if self.mentions is not None:
            self.mentions.bind(
                [(name.classes, name.things) for name in names], len(self.class_own), len(self.thing_own)
            )
        if len(words.classes) != len(self.class_own) or len(words.things) != len(self.thing_own):
            raise ConfigError(
                f"the model's evidence names {len(self.class_own)} classes and {len(self.thing_own)} things, its "
                f"labels {len(words.classes)} and {len(words.things)}; take the labels.json that belongs to the model"
            )
        self._words = {f.name: _padded(getattr(words, f.name)) for f in fields(words)}
        self._kept = None

    def tables(self, embedding: Tensor) -> dict[str, Tensor]:
        """Return mean embeddings [N, D] of the names of classes, things and colours, with their gains."""
        if not self._words:
            raise ConfigError("the model's evidence has no words; call bind with those of its tokenizer first")
        if self._kept is not None and not self.training:
            return self._kept
        mean = {}
        for name, (ids, weights) in self._words.items():
            ids, weights = ids.to(embedding.device), weights.to(self.gains)
            mean[name] = (F.embedding(ids, embedding).to(self.gains) * weights[..., None]).sum(1)
        of_name, of_kind, of_chinese, of_colour, of_box, _, _ = self.gains.unbind()
        named = mean["classes"] * of_name + mean["kinds"] * of_kind + mean["classes_zh"] * of_chinese
        tables = {
            "classes": named + self.class_own,
            "things": (mean["things"] + mean["things_zh"] * of_chinese) * of_box + self.thing_own,
            "colours": (mean["colours"] + mean["colours_zh"] * of_chinese) * of_colour,
        }
        if not self.training:
            self._kept = {key: table.detach() for key, table in tables.items()}
        return tables

    def forward(self, inputs: EvidenceInputs, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to add to the cells [B, C, D] and the extra tokens [B, 2 + K, D].

        `embedding` is the denoiser's table [V, D]. Cells are the 16 of the global view, then the 8 x 8 of the tiles.
        """
        tables = self.tables(embedding)
        kind = tables["classes"].dtype
        scores = inputs.scores.to(kind)[..., None]
        # 1. names and colours of each cell
        named = (F.embedding(inputs.classes, tables["classes"]) * inputs.shares.to(kind)[..., None]).sum(2)
        cells = named + inputs.colours.to(kind) @ tables["colours"]
        # 2. boxes over it, and the cells that hold a box's centre
        boxes = (F.embedding(inputs.things, tables["things"]) + self.number[inputs.numbers]) * scores  # [B, K, D]
        inside, middle = (part.to(kind) for part in self._covered(inputs.edges))
        cells = cells + inside.transpose(1, 2) @ boxes + (middle.transpose(1, 2) @ scores) * self.centre
        cells = cells + self.cell_map(cells)
        # 3. one token for the names of the whole, one for its look, one for each box
        top = (F.embedding(inputs.top, tables["classes"]) * inputs.top_shares.to(kind)[..., None]).sum(1)
        top = top * self.gains[5] + self.role[0]
        look = inputs.colours[:, :16].mean(1).to(kind) @ tables["colours"] * self.gains[6]
        look = look + self.look(inputs.look.to(kind)) + self.role[1]
        told = boxes + inputs.painted.to(kind) @ tables["colours"] * (scores > 0)
        told = told + (self.count[inputs.counts] + self.place(_waves(inputs.edges).to(kind)) + self.role[2]) * (
            scores > 0
        )
        told = told + self.box_map(told)
        return cells, torch.cat((torch.stack((top + self.top_map(top), look), 1), told), 1)

    def of_names(self, inputs: EvidenceInputs, picture: Tensor, names: Tensor, embedding: Tensor) -> Tensor:
        """Return what to add [G, D] to names in prompts about pictures [G]; numbers of names as in `NameFinder`."""
        assert self.mentions is not None, "this model looks up no names"
        return self.mentions(inputs, picture, names, self.tables(embedding), (_cell_centres(), _waves))

    def _covered(self, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Tell which cells [B, K, C] each box covers, and which hold its centre; a small one covers that cell."""
        x, y = _cell_centres().to(edges.device).unbind(-1)  # [C]
        left, top, right, bottom = (edge[..., None] for edge in edges.unbind(-1))
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        middle = torch.zeros_like(inside)
        at_x, at_y = (left + right) / 2, (top + bottom) / 2
        for side, first in ((GLOBAL, 0), (TILES, GLOBAL * GLOBAL)):
            column, row = ((at * side).long().clamp(0, side - 1) for at in (at_x, at_y))
            middle.scatter_(-1, first + row * side + column, True)
        return inside | middle, middle


@lru_cache(maxsize=1)
def _cell_centres() -> Tensor:
    """Return centres [C, 2] of the cells as fractions: the global view's, then the map of the tiles."""
    both = []
    for side in (GLOBAL, TILES):
        at = (torch.arange(side) + 0.5) / side
        both.append(torch.stack((at.expand(side, side), at[:, None].expand(side, side)), -1).flatten(0, 1))
    return torch.cat(both)


def _waves(edges: Tensor) -> Tensor:
    """Return Fourier features [..., WAVES] of where boxes [..., 4] lie and how large they are."""
    left, top, right, bottom = edges.unbind(-1)
    centre = torch.stack(((left + right) / 2, (top + bottom) / 2), -1)
    size = torch.stack((right - left, bottom - top), -1)
    turns = centre[..., None] * (math.pi * 2.0 ** torch.arange(OCTAVES, device=edges.device))
    waves = torch.cat((turns.sin(), turns.cos()), -1).flatten(-2)
    return torch.cat((centre - 0.5, size, size.prod(-1, keepdim=True), torch.ones_like(size[..., :1]), waves), -1)


def _padded(lists: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return lists of ids as a tensor [N, M], and the weights [N, M] of their means."""
    width = max((len(ids) for ids in lists), default=1) or 1
    ids, weights = torch.zeros((len(lists), width), dtype=torch.long), torch.zeros((len(lists), width))
    for row, own in enumerate(lists):
        ids[row, : len(own)] = torch.tensor(own, dtype=torch.long)
        weights[row, : len(own)] = 1 / max(len(own), 1)
    return ids, weights


def add_to_cells(tokens: Tensor, added: Tensor) -> Tensor:
    """Add vectors [B, C, D] to image tokens [B, 88, D], whose tile rows end with a newline that gets none."""
    whole, tiles = added[:, : GLOBAL * GLOBAL], added[:, GLOBAL * GLOBAL :].unflatten(1, (TILES, TILES))
    return tokens + torch.cat((whole, F.pad(tiles, (0, 0, 0, 1)).flatten(1, 2)), 1)
