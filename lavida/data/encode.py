"""Encode samples: the dialogue as the family writes it, the tokens that are learnt, the pictures as views."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lavida.config import TilesConfig, VisionConfig, VLMConfig
from lavida.data.collate import Example
from lavida.data.infill import with_gaps
from lavida.data.rules import SampleRule, choose_turns
from lavida.data.samples import BrokenSample, Picture, Sample, Trajectory
from lavida.diffusion.masking import NEVER
from lavida.errors import ConfigError, ImageError, RequestError
from lavida.image.codes import CELL, SIDE
from lavida.image.load import open_image
from lavida.image.tiles import grid_of, tiles_among, views
from lavida.model.projector import token_count
from lavida.text.chat import check_tokens, find_template, piece_ids, render_turns
from lavida.text.codes import Layouts
from lavida.text.messages import IMAGE_ID, Turn, pictures_of
from lavida.text.tokenizer import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Hold a sample before its pictures are cut into views."""

    ids: Tensor
    answer: Tensor
    turn: Tensor
    images: list[Image.Image]
    tiles: TilesConfig  # by which they are cut
    length: int


class Encoder:
    """Encode samples for the model of `config` and `tokenizer`, by its own template and length if none is given.

    Raises:
        ConfigError: Model and rule do not fit.
        CheckpointError: The tokenizer lacks tokens of the template.
    """

    def __init__(
        self,
        config: VLMConfig,
        tokenizer: Vocabulary,
        rule: SampleRule | None = None,
        *,
        template: str | None = None,
        max_length: int | None = None,
    ) -> None:
        self.config, self.tokenizer, self.rule = config, tokenizer, rule or SampleRule()
        self.max_length = max_length or config.denoiser.max_length
        self.pad_id = config.denoiser.eos_ids[0]
        family = template or config.family
        self.template = find_template("plain" if self.rule.plain else family)
        if self.rule.keep_newline:
            self.template = replace(self.template, drops_newline=False)
        check_tokens(self.template, tokenizer)
        self._structure = {tokenizer.id_of(token) for token in self.template.tokens()} if self.rule.structure else set()
        self._gap = find_template(family).gap
        if self.rule.gaps and self._gap is None:
            raise ConfigError(f"the family {family} has no tokens for gaps; set gaps of the sample rule to 0")
        self._fixed = tokenizer.id_of(self._gap[1]) if self.rule.gaps and self._gap else None

    def __call__(self, sample: Sample, rng: random.Random) -> Example:
        """Return the example; `rng` makes the rule's random choices. Raises BrokenSample."""
        measured = self.measure(sample, rng)
        ids, answer = measured.ids, measured.answer
        frozen = (
            (ids == self._fixed) & (answer > 0) if self._fixed is not None else torch.zeros_like(ids, dtype=torch.bool)
        )
        steps, blocks = _places(sample.trajectory, len(ids)) if sample.trajectory is not None else (None, None)
        cut = [views(image, self._vision(), measured.tiles) for image in measured.images]
        return Example(
            name=sample.name, ids=ids, answer=answer, turn=measured.turn, frozen=frozen, views=cut,
            length=measured.length, images=measured.images if self.config.evidence else [], steps=steps, blocks=blocks,
        )  # fmt: skip

    def measure(self, sample: Sample, rng: random.Random) -> Measured:
        """Return ids, opened pictures and length of a sample. Raises BrokenSample if it cannot be used."""
        if sample.is_text:
            return self._plain_text(sample)
        try:
            turns, learnt = choose_turns(sample.turns, self.rule, rng)
            if sample.trajectory is not None:
                learnt = 1
            ids, answers, places = self._labelled(turns, learnt, rng, sample.trajectory)
        except RequestError as error:
            raise BrokenSample("broken entry", str(error)) from None
        images = [self.open(part.value) for part in pictures_of(turns)]
        tiles = tiles_among(self.config.tiles, len(images))
        tokens = [self.picture_tokens(image, tiles) for image in images]
        length, kept = len(ids) - len(images) + sum(tokens), len(ids)
        if length > self.max_length:
            kept = self._cut(ids, tokens) if self.rule.cut else 0
        if not any(answers[:kept]) or IMAGE_ID in ids[kept:]:
            of_pictures = f", {sum(tokens)} of them of pictures" if tokens else ""
            raise BrokenSample("too long", f"{length} tokens{of_pictures}, and at most {self.max_length} are taken")
        length = min(length, self.max_length)
        own, answer, turn = (torch.tensor(values[:kept]) for values in (ids, answers, places))
        return Measured(ids=own, answer=answer, turn=turn, images=images, tiles=tiles, length=length)

    def _plain_text(self, sample: Sample) -> Measured:
        """Return a plain text between its start and end, every token of it learnt."""
        codes = self.config.codes
        if codes is None:
            raise BrokenSample("broken entry", "a text without a question, which MMaDA alone learns; write a question")
        text = "".join(part.value for part in sample.turns[0].parts)
        ids = Layouts(codes=codes, end_id=self.pad_id).plain(self.tokenizer.encode(text))
        if len(ids) > self.max_length and not self.rule.cut:
            raise BrokenSample("too long", f"{len(ids)} tokens, and at most {self.max_length} are taken")
        kept = torch.tensor(ids[: self.max_length])
        ones, zeros = torch.ones_like(kept), torch.zeros_like(kept)
        return Measured(ids=kept, answer=ones, turn=zeros, images=[], tiles=self.config.tiles, length=len(kept))

    def _labelled(
        self, turns: Sequence[Turn], learnt: int, rng: random.Random, trajectory: Trajectory | None
    ) -> tuple[list[int], list[int], list[int]]:
        """Return ids, the answer that each belongs to (0 = prompt) and their turns; the last `learnt` answers count.

        An answer is encoded apart from its prompt, as it is on a canvas. With a trajectory, the last one is its canvas.
        """
        prompt, rendered = render_turns(turns, self.template)
        history = sum(turn.role == "assistant" for turn in turns) - learnt
        ids, answers, places, place = [], [], [], 0
        for turn in rendered:
            if turn.role != "assistant":
                prompt = prompt + turn.pieces
                continue
            own = place + 1 - history
            content = turn.content
            if own > 0 and self._gap and self.rule.gaps and rng.random() < self.rule.gaps:
                content = with_gaps("".join(content), self._gap, rng, spaced=not self.tokenizer.adds_space)
            stretches = (prompt, False), (turn.opening, self.rule.structure), (content + turn.closing, True)
            for pieces, whole in stretches:
                new = piece_ids(pieces, self.template, self.tokenizer)
                if trajectory is not None and own > 0 and pieces is stretches[2][0]:
                    new = list(trajectory.canvas)
                ids += new
                answers += [max(1, own) if (whole and own > 0) or i in self._structure else 0 for i in new]
                places += [place] * len(new)
            prompt, place = [], place + 1
        return ids, answers, places

    def require_pictures(self) -> None:
        """Raise BrokenSample if the model reads no pictures."""
        if self.config.codes is None:
            self._vision()

    def picture_tokens(self, image: Image.Image, tiles: TilesConfig) -> int:
        """Return how many tokens a picture takes."""
        if self.config.codes is not None:
            return (SIDE // CELL) ** 2 + 3
        vision = self._vision()
        return token_count(grid_of(*image.size, vision, tiles), tiles, vision.cells)

    def _vision(self) -> VisionConfig:
        if self.config.vision is None:
            raise BrokenSample("broken entry", "the sample shows a picture and the model reads text only")
        return self.config.vision

    def open(self, picture: Picture) -> Image.Image:
        """Open a picture of a sample. Raises BrokenSample."""
        self.require_pictures()
        if isinstance(picture, Path) and not picture.exists():
            raise BrokenSample("missing file", f"{picture}: no such file")
        try:
            return open_image(picture, any_shape=self.config.traits.any_shape)
        except ImageError as error:
            raise BrokenSample("broken picture", str(error)) from None

    def _cut(self, ids: Sequence[int], tokens: Sequence[int]) -> int:
        """Return how many of the ids fit into the longest length."""
        left, pictures = self.max_length, iter(tokens)
        for place, i in enumerate(ids):
            left -= next(pictures) if i == IMAGE_ID else 1
            if left < 0:
                return place
        return len(ids)


def _places(trajectory: Trajectory, length: int) -> tuple[Tensor, Tensor]:
    """Return the step and the block [T] of each of `length` ids, the last of which are the canvas."""
    canvas = len(trajectory.canvas)
    steps, blocks = torch.full((length,), -1), torch.zeros(length, dtype=torch.long)
    steps[length - canvas :] = torch.tensor([NEVER if step is None else step for step in trajectory.steps])
    blocks[length - canvas :] = torch.arange(canvas) // (trajectory.block or canvas)
    return steps, blocks
