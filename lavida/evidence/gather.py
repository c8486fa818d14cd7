"""Gather the evidence about one picture from its views, the tower's maps and the frozen parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lavida.config import VisionConfig
from lavida.errors import ConfigError
from lavida.evidence.colour import colour_shares, is_monochrome, main_colour, small_lab
from lavida.evidence.detector import Box, Detector
from lavida.evidence.reader import Reader, Text, find_reader
from lavida.image.tiles import Grid
from lavida.model.efficientnet import TRUNK_SIDE, EfficientNetLite0
from lavida.model.evidence import CELLS, GLOBAL, MOST, TILES
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.model.projector import pool
from lavida.model.vlm import VLM
from lavida.text.labels import Label
from lavida.text.things import COCO, COLOURS

DETECTOR = "detector.safetensors"  # in a model folder
CLASSES = 5  # classes kept for each cell
TOP = 3  # and for the whole picture


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Hold the frozen parts that evidence comes from; a part that is None is not used."""

    tower: EfficientNetLite0  # with its classifier
    vision: VisionConfig
    labels: Sequence[Label]
    detector: Detector | None = None
    reader: Reader | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Hold what the parts found in one picture."""

    labels: Sequence[Label]
    classes: Tensor  # [C, 5] classes of each cell, surest first
    shares: Tensor  # [C, 5]
    colours: Tensor  # [C, 11]
    top: Tensor  # [3] classes of the whole picture
    top_shares: Tensor  # [3]
    boxes: tuple[Box, ...]  # by kind, each kind from left to right
    painted: Tensor  # [boxes, 11] colours inside each
    monochrome: bool
    brightness: float  # mean lightness, from 0 to 1
    texts: tuple[Text, ...] | None = None  # None where nothing could read

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `Answer.evidence`: names, boxes with colours, the picture's look, read text."""
        boxes = []
        for box, painted in zip(self.boxes, self.painted, strict=True):
            edges = [round(edge, 3) for edge in (box.left, box.top, box.right, box.bottom)]
            colour = None if self.monochrome else main_colour(painted)[0]
            boxes.append({"name": box.name, "score": round(box.score, 3), "colour": colour, "box": edges})
        names = [
            {"name": self.labels[int(i)].name, "probability": round(float(p), 3)}
            for i, p in zip(self.top, self.top_shares, strict=True)
        ]
        texts = [
            {"text": t.text, "box": [round(edge, 3) for edge in (t.left, t.top, t.right, t.bottom)]}
            for t in self.texts or ()
        ]
        return {
            "names": names, "boxes": boxes, "monochrome": self.monochrome, "brightness": round(self.brightness, 3),
            "texts": texts,
        }  # fmt: skip

    def read(self) -> list[tuple[str, tuple[float, float, float, float]]] | None:
        """Return the read texts with their boxes, as `lavida.text.reading.read_ids` takes them; None if none could."""
        if self.texts is None:
            return None
        return [(t.text, (t.left, t.top, t.right, t.bottom)) for t in self.texts]

    def inputs(self, boxes: int) -> EvidenceInputs:
        """Return the tensors that the model reads, for a model with room for so many boxes."""
        kept = self.boxes[:boxes]
        names = [box.name for box in kept]
        totals, seen, numbers = Counter(names), Counter[str](), []
        for name in names:
            seen[name] += 1
            numbers.append(min(seen[name], MOST))
        edges = [(box.left, box.top, box.right, box.bottom) for box in kept]
        room = boxes - len(kept)

        def padded(values: Sequence[float]) -> Tensor:
            return torch.tensor([[*values, *[0] * room]])

        return EvidenceInputs(
            classes=self.classes[None],
            shares=self.shares[None],
            colours=self.colours[None],
            things=padded([COCO.index(name) for name in names]).long(),
            scores=padded([box.score for box in kept]).float(),
            edges=torch.tensor([*edges, *[(0.0, 0.0, 0.0, 0.0)] * room])[None],
            painted=torch.cat((self.painted[: len(kept)], torch.zeros(room, len(COLOURS))))[None],
            numbers=padded(numbers).long(),
            counts=padded([min(totals[name], MOST) for name in names]).long(),
            top=self.top[None],
            top_shares=self.top_shares[None],
            look=torch.tensor([[float(self.monochrome), self.brightness, 1.0]]),
        )


@torch.no_grad()
def evidence_of(picture: Image.Image, views: Tensor, grid: Grid, maps: Tensor, parts: Parts) -> Evidence:
    """Gather the evidence about one picture.

    Args:
        picture: The picture itself, for the detector.
        views: [5, 3, S, S] as the tower gets them: the whole, then the four tiles.
        grid: How the tiles lie; 2 x 2.
        maps: [5, 196, 80] of the tower's trunk, of these views.
        parts: The frozen parts.

    Raises:
        ConfigError: The picture was not cut into 2 x 2 tiles.
    """
    if (grid.columns, grid.rows) != (TILES // GLOBAL, TILES // GLOBAL):
        raise ConfigError(f"evidence is defined for 2 x 2 tiles, not {grid.columns} x {grid.rows}")
    logits = class_logits(parts.tower, maps)
    cells = in_order(pool(logits).softmax(-1).topk(CLASSES, -1).indices)
    shares = in_order(pool(logits).softmax(-1).topk(CLASSES, -1).values)
    whole = logits[0].mean(0).softmax(-1).topk(TOP)
    lab = small_lab(views, parts.vision.mean, parts.vision.std)
    colours = in_order(colour_shares(lab))
    fine = colour_shares(lab[:1], 14)[0].unflatten(0, (14, 14))
    boxes = by_kind(parts.detector(picture)) if parts.detector is not None else []
    return Evidence(
        labels=parts.labels,
        classes=cells,
        shares=shares,
        colours=colours,
        top=whole.indices,
        top_shares=whole.values,
        boxes=tuple(boxes),
        painted=torch.stack([_inside(fine, box) for box in boxes]) if boxes else torch.zeros(0, len(COLOURS)),
        monochrome=is_monochrome(lab[0]),
        brightness=float(lab[0, ..., 0].mean()) / 100,
        texts=tuple(parts.reader(picture)) if parts.reader is not None else None,
    )


def class_logits(tower: EfficientNetLite0, maps: Tensor) -> Tensor:
    """Return the classifier's logits [V, 49, 1000] at each cell of the last map; their mean is that of `classify`.

    The pooling and the classifier are linear, so that their order does not matter.
    """
    assert tower.classifier is not None and tower.head is not None, "a tower without a classifier names nothing"
    features = tower.pretrained_features(maps)
    pixels = features.transpose(1, 2).unflatten(2, (TRUNK_SIDE // 2, -1))
    return tower.classifier(tower.head(pixels).flatten(2).transpose(1, 2)).float()


def in_order(x: Tensor) -> Tensor:
    """Return cells [5, 16, ...] of the views in the order of the image tokens, [80, ...]."""
    tiles = x[1:].unflatten(0, (2, 2)).unflatten(2, (GLOBAL, GLOBAL)).transpose(1, 2).flatten(0, 3)
    joined = torch.cat((x[0], tiles))
    assert len(joined) == CELLS
    return joined


def by_kind(boxes: Sequence[Box]) -> list[Box]:
    """Group boxes by kind, the kind of the surest box first, each kind from left to right."""
    groups: dict[str, list[Box]] = defaultdict(list)
    for box in sorted(boxes, key=lambda box: -box.score):
        groups[box.name].append(box)
    return [box for group in groups.values() for box in sorted(group, key=lambda box: box.left + box.right)]


def _inside(fine: Tensor, box: Box) -> Tensor:
    """Return mean colour shares [11] of the inner two thirds of a box, from shares [H, H, 11]."""
    side = len(fine)

    def span(low: float, high: float) -> slice:
        trim = (high - low) / 6
        first = min(int((low + trim) * side), side - 1)
        return slice(first, max(first + 1, round((high - trim) * side)))

    return fine[span(box.top, box.bottom), span(box.left, box.right)].flatten(0, 1).mean(0)


def find_parts(folder: Path, net: VLM, labels: Sequence[Label]) -> Parts | None:
    """Return the parts of a model folder; detector and reader are left out where their files are not there."""
    vision, weights, dtype = net.config.vision, folder / DETECTOR, net.denoiser.dtype
    if vision is None or not isinstance(net.tower, EfficientNetLite0) or net.tower.classifier is None:
        return None
    detector = Detector(weights, dtype=dtype) if weights.is_file() else None
    return Parts(tower=net.tower, vision=vision, labels=labels, detector=detector, reader=find_reader(folder))
