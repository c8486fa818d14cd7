"""Pictures as an image tokenizer reads and writes them: sides in whole cells, values in -1..1."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

CROP, SQUASH = "crop", "squash"


def square(image: Image.Image, side: int, how: str = CROP) -> Image.Image:
    """Return a square picture of `side` pixels: the middle of the scaled picture, or all of it squashed."""
    if how == SQUASH:
        return image.resize((side, side), Image.Resampling.BICUBIC)
    width, height = image.size
    short = min(width, height)
    width, height = (side if length == short else max(side, int(side * length / short)) for length in (width, height))
    scaled = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return scaled.crop((left, top, left + side, top + side))


def to_pixels(image: Image.Image) -> Tensor:
    """Return pixels [3, H, W] in -1..1 of an RGB picture."""
    values = torch.from_numpy(np.asarray(image, dtype=np.uint8).copy()).permute(2, 0, 1)
    return (values / 255 - 0.5) / 0.5


def to_image(pixels: Tensor) -> Image.Image:
    """Return the RGB picture of pixels [3, H, W]; what lies outside of -1..1 is cut off."""
    values = ((pixels.float().cpu() + 1) / 2).clamp(0, 1) * 255
    return Image.fromarray(np.ascontiguousarray(values.to(torch.uint8).permute(1, 2, 0).numpy()), "RGB")


def cells_of(mask: Image.Image, width: int, height: int, cell: int) -> Tensor:
    """Return which cells [h * w] of a picture of that size a mask marks: those with any bright pixel."""
    grey = mask.convert("L").resize((width, height), Image.Resampling.NEAREST)
    bright = torch.from_numpy(np.asarray(grey, dtype=np.uint8).copy()) > 127
    return bright.unflatten(1, (width // cell, cell)).unflatten(0, (height // cell, cell)).any(3).any(1).flatten()
