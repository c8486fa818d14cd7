"""Views of a picture: the whole of it, then tiles at a higher resolution (section 3.1 of arXiv 2505.16839).

Pillow does the resampling, so pixel values equal those of the published models exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lavida.config import TilesConfig, VisionConfig


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Describe how the tiles of one picture lie; `columns` is 0 when there is only the global view."""

    columns: int
    rows: int
    width: int  # of the picture that the tiles show, pixels; only the ratio to `height` matters
    height: int

    @property
    def n_views(self) -> int:
        """Return the number of views: the global one and the tiles."""
        return 1 + self.columns * self.rows


def best_pinpoint(width: int, height: int, pinpoints: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the (width, height) that keeps most pixels of a picture; of equals the least wasteful, then the first."""
    best, best_kept, best_waste = pinpoints[0], -1, 0
    for candidate in pinpoints:
        scale = min(candidate[0] / width, candidate[1] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        waste = candidate[0] * candidate[1] - kept
        if kept > best_kept or (kept == best_kept and waste < best_waste):
            best, best_kept, best_waste = candidate, kept, waste
    return best


def grid_of(width: int, height: int, vision: VisionConfig, tiles: TilesConfig) -> Grid:
    """Return the grid of a picture of this size."""
    if not tiles.pinpoints:
        return Grid(columns=0, rows=0, width=width, height=height)
    canvas = best_pinpoint(width, height, tiles.pinpoints) if tiles.keep_aspect else tiles.pinpoints[0]
    columns, rows = canvas[0] // vision.image_size, canvas[1] // vision.image_size
    if not tiles.keep_aspect:  # a stretched picture fills its canvas, so nothing is to be cut again
        width, height = canvas
    return Grid(columns=columns, rows=rows, width=width, height=height)


def for_several(tiles: TilesConfig, *, official: bool = False) -> TilesConfig:
    """Return the tiles of one of several pictures in a prompt: a single view on a grey square, as in training.

    `official` leaves out pooling and newline too, as the published evaluation does. A model that stretches its
    pictures (lavida-mini) was never trained on several and tiles each as usual.
    """
    if not tiles.keep_aspect:
        return tiles
    one = replace(tiles, pinpoints=(), square=True)
    return replace(one, pool=False, unpad=False) if official else one


def tiles_among(tiles: TilesConfig, pictures: int, *, official: bool = False) -> TilesConfig:
    """Return the tiles of each of `pictures` in one prompt; `official` as in `for_several`."""
    return for_several(tiles, official=official) if pictures > 1 else tiles


def views(image: Image.Image, vision: VisionConfig, tiles: TilesConfig) -> tuple[Tensor, Grid]:
    """Return views [V, 3, S, S] of a picture, normalised for the tower: the global view, then the tiles row by row."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    side = vision.image_size
    grid = grid_of(*image.size, vision, tiles)
    cuts = [(_on_square(image, vision) if tiles.square else image).resize((side, side))]
    if grid.columns:
        canvas = (grid.columns * side, grid.rows * side)
        laid = _fit(image, canvas) if tiles.keep_aspect else image.resize(canvas)
        for top in range(0, canvas[1], side):
            cuts += [laid.crop((left, top, left + side, top + side)) for left in range(0, canvas[0], side)]
    pixels = torch.from_numpy(np.stack([np.asarray(cut) for cut in cuts]))  # u8 [V, S, S, 3]
    return normalise(pixels.permute(0, 3, 1, 2), vision), grid


def normalise(pixels: Tensor, vision: VisionConfig) -> Tensor:
    """Return (pixels / 255 - mean) / std."""
    return (pixels.float() / 255 - vision.mean) / vision.std


def frame_views(frames: Sequence[Image.Image], vision: VisionConfig) -> Tensor:
    """Return one view [F, 3, S, S] of each frame of a video, squashed to the tower's square."""
    whole = TilesConfig()
    return torch.cat([views(frame, vision, whole)[0] for frame in frames])


def _on_square(image: Image.Image, vision: VisionConfig) -> Image.Image:
    (width, height), side = image.size, max(image.size)
    laid = Image.new("RGB", (side, side), (int(vision.mean * 255),) * 3)
    laid.paste(image, ((side - width) // 2, (side - height) // 2))
    return laid


def _fit(image: Image.Image, canvas: tuple[int, int]) -> Image.Image:
    """Return the picture at its own aspect ratio, as large as the canvas allows, centred on black."""
    (width, height), (wide, high) = image.size, canvas
    if wide / width < high / height:
        size = (wide, min(math.ceil(height * (wide / width)), high))
    else:
        size = (min(math.ceil(width * (high / height)), wide), high)
    laid = Image.new("RGB", canvas)
    laid.paste(image.resize(size), ((wide - size[0]) // 2, (high - size[1]) // 2))
    return laid
