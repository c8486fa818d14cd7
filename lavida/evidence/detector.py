"""Detect things of the 80 COCO classes with NanoDet "g" (Apache-2.0), 3.8 million weights kept in int8.

The network is a CSP backbone with plain 3 x 3 convolutions, a path aggregation neck without convolutions of its own,
and one convolution a level before the class scores and the four distances, each a distribution over 11 bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from lavida.errors import CheckpointError
from lavida.text.things import COCO

SIDE = 416  # pixels of the square that a picture is fitted into, as in training
STRIDES = (8, 16, 32)
BINS = 11
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # blue, green, red
MIN_SCORE, MAX_OVERLAP, MAX_BOXES = 0.25, 0.5, 12


@dataclass(frozen=True, kw_only=True)
class Box:
    """Describe one detected thing; edges are fractions of the picture's width and height."""

    name: str
    score: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def centre(self) -> tuple[float, float]:
        """Return the centre as (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


class Stage(nn.Module):
    """Halve (or keep) the resolution, then grow features in pairs of convolutions that are concatenated."""

    def __init__(self, width: int, pairs: int, stride: int) -> None:
        super().__init__()
        half = width // 2
        self.first = nn.Conv2d(width, width, 3, stride, 1)
        self.narrow = nn.ModuleList(nn.Conv2d(width, half, 3, 1, 1) for _ in range(pairs))
        self.again = nn.ModuleList(nn.Conv2d(half, half, 3, 1, 1) for _ in range(pairs))
        self.last = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps [B, 2C, H', W'] of maps [B, C, H, W]."""
        x = first = F.leaky_relu(self.first(x), 0.1)
        for narrow, again in zip(self.narrow, self.again, strict=True):
            part = F.leaky_relu(narrow(x), 0.1)
            x = torch.cat((F.leaky_relu(again(part), 0.1), part), 1)
        return torch.cat((F.leaky_relu(self.last(x), 0.1), first), 1)


class NanoDet(nn.Module):
    """Compute class scores and edge distributions at every cell of three maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        self.stages = nn.ModuleList((Stage(32, 1, 1), Stage(64, 2, 2), Stage(128, 2, 2), Stage(256, 3, 2)))
        self.lateral = nn.ModuleList(nn.Conv2d(width, 128, 1) for width in (128, 256, 512))
        self.tower = nn.ModuleList(nn.Conv2d(128, 128, 3, 1, 1) for _ in STRIDES)
        self.output = nn.ModuleList(nn.Conv2d(128, len(COCO) + 4 * BINS, 1) for _ in STRIDES)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps [B, 80 + 44, H, W] of strides 8, 16 and 32 for pixels [B, 3, S, S] (blue, green, red)."""
        x = F.max_pool2d(F.leaky_relu(self.stem(x), 0.1), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        low, middle, high = (lateral(x) for lateral, x in zip(self.lateral, maps[1:], strict=True))
        middle = middle + _resize(high, 2.0)
        low = low + _resize(middle, 2.0)
        middle = middle + _resize(low, 0.5)
        high = high + _resize(middle, 0.5)
        heads = zip(self.tower, self.output, (low, middle, high), strict=True)
        return [output(F.leaky_relu(tower(x), 0.1)) for tower, output, x in heads]


def _resize(x: Tensor, scale: float) -> Tensor:
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


class Detector:
    """Find boxes in pictures with a frozen NanoDet."""

    def __init__(self, weights: Path, *, dtype: torch.dtype = torch.float32) -> None:
        """Load int8 weights (`pack_weights`). Raises CheckpointError for a file of another network."""
        self._net = NanoDet()
        try:
            self._net.load_state_dict(unpack_weights(load_file(weights)))
        except (OSError, RuntimeError, KeyError) as error:
            raise CheckpointError(f"cannot read the detector's weights {weights}: {error}") from None
        self._net.requires_grad_(False).eval().to(dtype)
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def __call__(self, picture: Image.Image, *, min_score: float = MIN_SCORE, limit: int = MAX_BOXES) -> list[Box]:
        """Return at most `limit` boxes of a picture, surest first."""
        pixels, scale, left, top = fit(picture)
        pixels = pixels.to(next(self._net.parameters()).dtype)
        scores, edges = decode(self._net(pixels[None].contiguous(memory_format=torch.channels_last)))
        found = suppress(scores, edges, min_score=min_score, limit=limit)
        wide, high = picture.size
        boxes = []
        for score, kind, (x0, y0, x1, y1) in found:
            x0, x1 = ((x - left) / scale / wide for x in (x0, x1))
            y0, y1 = ((y - top) / scale / high for y in (y0, y1))
            edges_in = [min(1.0, max(0.0, edge)) for edge in (x0, y0, x1, y1)]
            if edges_in[2] > edges_in[0] and edges_in[3] > edges_in[1]:
                boxes.append(Box(name=COCO[kind], score=score, **dict(zip(_EDGES, edges_in, strict=True))))
        return boxes


_EDGES = ("left", "top", "right", "bottom")


def fit(picture: Image.Image) -> tuple[Tensor, float, int, int]:
    """Fit a picture into the detector's square: pixels [3, S, S], the scale, and the left and top padding."""
    wide, high = picture.size
    scale = SIDE / max(wide, high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    laid = Image.new("RGB", (SIDE, SIDE))
    laid.paste(picture.convert("RGB").resize(size, Image.Resampling.BILINEAR), (left, top))
    pixels = torch.from_numpy(np.asarray(laid).copy()).permute(2, 0, 1).flip(0).float()
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std, scale, left, top


def decode(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Turn the maps of one picture into scores [N, 80] and edges [N, 4] in pixels of the square."""
    scores, edges = [], []
    for x, stride in zip(maps, STRIDES, strict=True):
        height, width = x.shape[-2:]
        flat = x[0].float().flatten(1).T
        scores.append(flat[:, : len(COCO)].sigmoid())
        bins = flat[:, len(COCO) :].unflatten(1, (4, BINS)).softmax(-1)
        ways = bins @ torch.arange(BINS, dtype=torch.float32) * stride
        y, x_ = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centre = (torch.stack((x_, y), -1).flatten(0, 1).float() + 0.5) * stride
        edges.append(torch.cat((centre - ways[:, :2], centre + ways[:, 2:]), 1))
    return torch.cat(scores), torch.cat(edges)


def suppress(
    scores: Tensor, edges: Tensor, *, min_score: float, limit: int
) -> list[tuple[float, int, tuple[float, float, float, float]]]:
    """Keep the surest of overlapping boxes: (score, class, edges), surest first."""
    best, kind = scores.max(1)
    order = best.argsort(descending=True)
    order = order[best[order] >= min_score][:200]
    kept: list[int] = []
    for i in order.tolist():
        if all(_overlap(edges[i], edges[j]) <= (MAX_OVERLAP if kind[i] == kind[j] else 0.8) for j in kept):
            kept.append(i)
        if len(kept) == limit:
            break
    return [(float(best[i]), int(kind[i]), tuple(edges[i].tolist())) for i in kept]


def _overlap(a: Tensor, b: Tensor) -> float:
    """Return the intersection of two boxes over their union."""
    low, high = torch.maximum(a[:2], b[:2]), torch.minimum(a[2:], b[2:])
    shared = (high - low).clamp_min(0).prod()
    both = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared
    return float(shared / both.clamp_min(1e-6))


def pack_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Quantise convolutions to int8 with one scale for each output channel; biases stay float16."""
    packed = {}
    for name, tensor in state.items():
        if name.endswith("weight"):
            scale = tensor.abs().amax((1, 2, 3)).clamp_min(1e-8) / 127
            packed[name] = (tensor / scale[:, None, None, None]).round().to(torch.int8)
            packed[name.removesuffix("weight") + "scale"] = scale.half()
        else:
            packed[name] = tensor.half()
    return packed


def unpack_weights(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo `pack_weights` up to rounding."""
    state = {}
    for name, tensor in packed.items():
        if tensor.dtype == torch.int8:
            scale = packed[name.removesuffix("weight") + "scale"].float()
            state[name] = tensor.float() * scale[:, None, None, None]
        elif not name.endswith("scale"):
            state[name] = tensor.float()
    return state
