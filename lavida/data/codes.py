"""Encode samples for a model whose pictures are tokens: pictures that are shown, and pictures to draw."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lavida.config import TilesConfig, VLMConfig
from lavida.data.collate import Example
from lavida.data.encode import Encoder
from lavida.data.rules import SampleRule
from lavida.data.samples import CAPTION, BrokenSample, Sample
from lavida.decode.image_encoder import CodeEncoder
from lavida.image.codes import square, to_pixels
from lavida.text.codes import Layouts
from lavida.text.messages import IMAGE_ID, pictures_of
from lavida.text.tokenizer import Vocabulary

_DROPOUT = 0.1  # share of the descriptions that are left out, for guidance


class CodesEncoder(Encoder):
    """Encode samples as `Encoder` does, each picture as the codes of an image tokenizer.

    Args:
        config: Of the model.
        tokenizer: Of its texts.
        images: Encodes pictures.
        rule: Of dialogues.
        max_length: As in `Encoder`.
        side: Pixels of the square that a picture is brought to; None is that of `images`.
        drawn: Share of the captions whose picture is to be drawn; the others are dialogues about it.
    """

    def __init__(
        self,
        config: VLMConfig,
        tokenizer: Vocabulary,
        images: CodeEncoder,
        rule: SampleRule | None = None,
        *,
        max_length: int | None = None,
        side: int | None = None,
        drawn: float = 0.0,
    ) -> None:
        super().__init__(config, tokenizer, rule, max_length=max_length)
        self._images, self._side, self._drawn = images, side or images.side, drawn
        self._layouts = Layouts(codes=images.codes, end_id=self.pad_id)

    def __call__(self, sample: Sample, rng: random.Random) -> Example:
        """Return the example; `rng` makes the rule's random choices. Raises BrokenSample."""
        if _is_caption(sample) and rng.random() < self._drawn:
            return self._to_draw(sample, rng)
        measured = self.measure(sample, rng)
        pictures = iter([self._codes(image) for image in measured.images])
        ids: list[int] = []
        answer: list[int] = []
        turn: list[int] = []
        for i, belongs, place in zip(measured.ids.tolist(), measured.answer.tolist(), measured.turn.tolist()):
            new = self._layouts.shown(next(pictures)) if i == IMAGE_ID else [i]
            ids += new
            answer += [belongs] * len(new)
            turn += [place] * len(new)
        return _example(sample.name, ids, torch.tensor(answer), torch.tensor(turn))

    def picture_tokens(self, image: Image.Image, tiles: TilesConfig) -> int:
        """Return how many tokens a picture takes."""
        return (self._side // self._images.vq.config.cell) ** 2 + 3

    def _to_draw(self, sample: Sample, rng: random.Random) -> Example:
        """Return a caption and its picture, which is the answer, and its two ends, which are trivial to learn."""
        text = "".join(part.value for part in sample.turns[-1].parts)
        (picture,) = pictures_of(sample.turns)
        image = self._codes(self.open(picture.value))
        room = self.max_length - len(image) - 3
        if room < 3:
            raise BrokenSample(
                "too long", f"a picture takes {len(image)} tokens, and at most {self.max_length} are taken"
            )
        text_ids = [] if rng.random() < _DROPOUT else self.tokenizer.encode(text)
        asked = self._layouts.asked(text_ids, room)
        ids = [*asked, *image, self._layouts.codes.end_id]
        answer = torch.zeros(len(ids), dtype=torch.long)
        answer[len(asked) - 1 :] = 1
        return _example(sample.name, ids, answer, torch.zeros_like(answer))

    def _codes(self, image: Image.Image) -> list[int]:
        return self._layouts.image_ids(self._images.codes_of(to_pixels(square(image, self._side))).tolist())


def _example(name: str, ids: Sequence[int], answer: Tensor, turn: Tensor) -> Example:
    frozen = torch.zeros_like(answer, dtype=torch.bool)
    return Example(name=name, ids=torch.tensor(ids), answer=answer, turn=turn, frozen=frozen, views=[], length=len(ids))


def _is_caption(sample: Sample) -> bool:
    """Return whether a sample is one picture and its caption, no dialogue."""
    if len(sample.turns) != 2 or len(pictures_of(sample.turns)) != 1:
        return False
    return [part.value.strip() for part in sample.turns[0].parts if part.kind == "text"] == [CAPTION]
