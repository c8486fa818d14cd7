"""Pictures as an image tokenizer reads and writes them: sides in whole cells, values in -1..1."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

CROP, SQUASH = "crop", "squash"
SIDE, CELL = 512, 16  # pixels of a square picture, and of the cell that a code stands for, as published


def square(image: Image.Image, side: int, how: str = CROP) -> Image.Image:
    """Return a square picture of `side` pixels: the middle of the scaled picture, or all of it squashed."""
    return image.resize((side, side), Image.Resampling.BICUBIC) if how == SQUASH else cover(image, side, side)


def cover(
    image: Image.Image, width: int, height: int, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Return the middle of a picture, scaled so that it just fills `width` x `height`."""
    w, h = image.size
    if w * height <= h * width:
        size = width, max(height, int(width * h / w))
    else:
        size = max(width, int(height * w / h)), height
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return image.resize(size, resample).crop((left, top, left + width, top + height))


def to_pixels(image: Image.Image) -> Tensor:
    """Return pixels [3, H, W] in -1..1 of an RGB picture."""
    values = torch.from_numpy(np.asarray(image, dtype=np.uint8).copy()).permute(2, 0, 1)
    return (values / 255 - 0.5) / 0.5


def to_image(pixels: Tensor) -> Image.Image:
    """Return the RGB picture of pixels [3, H, W]; what lies outside of -1..1 is cut off."""
    values = ((pixels.float().cpu() + 1) / 2).clamp(0, 1) * 255
    return Image.fromarray(np.ascontiguousarray(values.to(torch.uint8).permute(1, 2, 0).numpy()), "RGB")


def marked_cells(mask: Image.Image, width: int, height: int, cell: int) -> Tensor:
    """Return which cells [h * w] of a picture that was brought to that size a mask marks: those with a bright pixel."""
    grey = cover(mask.convert("L"), width, height, Image.Resampling.NEAREST)
    bright = torch.from_numpy(np.asarray(grey, dtype=np.uint8).copy()) > 127
    return bright.unflatten(1, (width // cell, cell)).unflatten(0, (height // cell, cell)).any(3).any(1).flatten()
