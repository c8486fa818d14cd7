"""The whole model: tower, projector, and the denoiser that reads image tokens spliced into the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lavida.cache.prefix import PrefixCache
from lavida.config import TilesConfig, VisionConfig, VLMConfig
from lavida.errors import ConfigError, RequestError
from lavida.image.tiles import Grid
from lavida.model.denoiser import Denoiser
from lavida.model.efficientnet import EfficientNetLite0
from lavida.model.evidence import EvidenceEmbedding, add_to_cells
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.model.projector import CellPositions, Projector, arrange, arrange_frames, pool
from lavida.text.messages import IMAGE_ID


class TowerOutput(NamedTuple):
    """Hold the output of a tower for V views of P pictures."""

    features: Tensor  # [V, n, C]
    classes: Tensor | None = None  # [P, K] ImageNet logits of the global views, if the tower has a head for them
    maps: Tensor | None = None  # [V, n', C'] of its trunk, if it has several ends


def build_tower(vision: VisionConfig) -> nn.Module:
    """Build the tower that the configuration names; views [V, 3, S, S] in, features [V, n, C] out."""
    if vision.kind == "efficientnet-lite0":
        return EfficientNetLite0()
    from lavida.model.siglip import SiglipTower

    return SiglipTower(vision)


class VLM(nn.Module):
    """Join tower, projector and denoiser; without `config.vision` the model reads text only."""

    def __init__(self, config: VLMConfig) -> None:
        super().__init__()
        self.config = config
        d_model, vision = config.denoiser.d_model, config.vision
        self.tower = build_tower(vision) if vision else None
        hidden, norm = config.projector_hidden or d_model, config.projector_norm
        self.projector = Projector(vision.hidden_size, hidden, d_model, norm=norm) if vision else None
        self.newline = nn.Parameter(torch.zeros(d_model)) if vision and config.tiles.unpad else None
        self.positions = CellPositions(d_model) if vision and config.tiles.positions else None
        self.evidence = EvidenceEmbedding(d_model, **asdict(config.evidence)) if config.evidence else None
        self.denoiser = Denoiser(config.denoiser)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Initialise all but the tower in place: the projector by fan-in, the newline as one cell of unit length."""
        self.denoiser.reset(generator)
        if self.evidence is not None:
            self.evidence.reset(generator)
        if self.newline is not None:
            self.newline.normal_(0.0, self.config.denoiser.d_model**-0.5, generator=generator)
        for part in (self.projector, self.positions):
            for name, p in part.named_parameters() if part is not None else ():
                if p.dim() < 2:
                    p.fill_(0.0 if name.endswith("bias") else self.config.denoiser.d_model**-0.5)
                else:  # a position is half as long as a word, or it would drown what the cell shows
                    std = 0.007 if part is self.positions else p.shape[1] ** -0.5
                    p.normal_(0.0, std, generator=generator)

    def image_tokens(self, features: Tensor, grid: Grid, tiles: TilesConfig | None = None) -> Tensor:
        """Compute image tokens [..., T, D] of tower features [..., V, n, C]; a batch has one grid.

        `tiles` are those that the views were cut by, if not the model's own.
        """
        if self.projector is None:
            raise ConfigError("this model reads text only; load one with a vision tower to ask about a picture")
        tiles = tiles or self.config.tiles
        x = self.projector(features)
        if tiles.pool:
            x = pool(x)
        tokens = arrange(x, grid, tiles, self.newline)
        if self.positions is not None:
            tokens = tokens + self.positions(grid, tiles, round(x.shape[-2] ** 0.5)).to(tokens.dtype)
        return tokens

    def with_evidence(self, tokens: Tensor, inputs: EvidenceInputs) -> Tensor:
        """Add evidence to image tokens [B, 88, D]: its own tokens, then the image tokens with theirs added."""
        if self.evidence is None:
            raise ConfigError("this model has no place for evidence; load one whose config.json has `evidence`")
        added, extra = self.evidence(inputs, self.denoiser.table)
        return torch.cat((extra, add_to_cells(tokens, added)), 1).to(tokens.dtype)

    def look(self, views: Tensor, first: Sequence[int] = (0,)) -> TowerOutput:
        """Run the tower over views; `first` names the global view of each picture, for its class logits."""
        if self.tower is None:
            raise ConfigError("this model reads text only; load one with a vision tower to ask about a picture")
        if not isinstance(self.tower, EfficientNetLite0) or self.tower.classifier is None:
            return TowerOutput(self.tower(views))
        maps = self.tower.trunk(views)
        return TowerOutput(self.tower.features(maps), self.tower.classify(maps[list(first)]), maps)

    def video_tokens(self, features: Tensor) -> Tensor:
        """Compute tokens [T, D] of a video's frames, tower features [F, n, C]; pooled even where images are not."""
        if self.projector is None:
            raise ConfigError("this model reads text only; load one with a vision tower to ask about a video")
        return arrange_frames(pool(self.projector(features)), self.newline)

    def splice(self, ids: Tensor, images: list[Tensor], words: Tensor | None = None) -> Tensor:
        """Return embeddings [P, D] of token ids [L] with each -200 replaced by the next image's tokens [T, D].

        `words` [L, D] are the embeddings of the ids where they were looked up already (`words`).
        """
        words = self.words(ids) if words is None else words
        pieces, start = [], 0
        for place, image in zip(_places(ids, images), images, strict=True):
            pieces += [words[start:place], image.to(words.dtype)]
            start = place + 1
        return torch.cat([*pieces, words[start:]])

    def segments(self, ids: Tensor, images: list[Tensor], added: Tensor | None = None) -> list[Tensor]:
        """Return the prompt as pieces [1, P_i, D], each of which sees itself and those before it; as `splice`.

        One piece as a rule; with `config.shared_image` the images come first, so that their keys serve any prompt.
        """
        if not (self.config.shared_image and images):
            return [self.splice(ids, images, self.words(ids, added))[None]]
        _places(ids, images)
        text = self.words(ids, added)[ids != IMAGE_ID]
        return [torch.cat(images)[None].to(text.dtype), text[None]]

    def words(self, ids: Tensor, added: Tensor | None = None) -> Tensor:
        """Return embeddings [..., D] of ids [...], any of them at the place of a picture; `added` is added to them."""
        words = self.denoiser.embed(ids.clamp(min=0))
        return words if added is None else words + added.to(words.dtype)

    @torch.no_grad()
    def prefill(self, segments: list[Tensor], cache: PrefixCache | None = None, *, room: int = 0) -> PrefixCache:
        """Compute the keys and values of prompt pieces [1, P_i, D], one after the other; continue `cache` if given.

        The cache comes back closed: what reads it adds nothing. `PrefixCache.fork` opens a copy for another prompt.
        `room` is that of a new cache: the length of the canvas, if it is known.
        """
        cache = PrefixCache(self.config.denoiser.n_layers, room) if cache is None else cache
        for segment in segments:
            if segment.shape[1]:
                hidden = self.denoiser(segment, cache=cache)
                cache.tail = hidden[:, -1].clone()  # it may be kept for long, the others not
        cache.writing = False
        return cache


def _places(ids: Tensor, images: list[Tensor]) -> list[int]:
    places = (ids == IMAGE_ID).nonzero().flatten().tolist()
    if len(places) != len(images):
        raise RequestError(f"the prompt has {len(places)} places for a picture and {len(images)} were given")
    return places
