"""Pixels of every kind brought to 8-bit RGB: deep grey and colour, floating point, transparency, arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_DEPTHS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # largest values of 8, 10, 12, 14 and 16 bits
# Of raw modes with 16 bits a channel Pillow keeps the first byte; read with the other byte order, it keeps the second.
_OTHER_ORDER = {"16B": "16L", "16L": "16B", "16N": "16B"}
_PAIRS = "RGBA"  # grey with alpha of 16 bits has no other order: its four bytes are read as four channels


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a picture in RGB: transparency laid on white, deep grey and floating point scaled to 0..255."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_to_rgb(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("RGB")
    return image.convert("RGB")


def eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring numbers of any type and shape to 0..255; NaN becomes 0.

    Floating point within 0..1 spans that range. Other values within 0..65535 span the bits that the largest needs: 8,
    10, 12, 14 or 16. Anything else, such as a depth map, spans its own smallest to its largest value.
    """
    fractions = values.dtype.kind == "f"
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return np.zeros(values.shape, np.uint8)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= _DEPTHS[-1]:
        low, high = 0.0, 1.0 if fractions and high <= 1 else next(depth for depth in _DEPTHS if high <= depth)
    scaled = (numbers - low) / max(high - low, 1e-300) * 255.0
    return np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).round().clip(0, 255).astype(np.uint8)


def array_to_image(values: NDArray[Any]) -> Image.Image:
    """Return an array [H, W], [H, W, C] or [C, H, W] of 1, 3 or 4 channels as a picture in RGB, alpha laid on white.

    Raises:
        ValueError: The shape or the values are not those of a picture.
    """
    if values.ndim == 3 and values.shape[2] not in (1, 3, 4) and values.shape[0] in (1, 3, 4):
        values = values.transpose(1, 2, 0)
    if values.ndim not in (2, 3) or 0 in values.shape or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        raise ValueError(f"an array of shape {list(values.shape)} is no picture; give [H, W], [H, W, 3] or [H, W, 4]")
    if values.dtype == bool:
        values = values * np.uint8(255)
    if values.dtype.kind not in "uif":
        raise ValueError(f"an array of {values.dtype} is no picture; give whole numbers 0..255 or fractions 0..1")
    if values.dtype != np.uint8:
        finite = values[np.isfinite(values)]
        if not finite.size or finite.min() < 0 or finite.max() > _DEPTHS[-1]:
            raise ValueError("an array with values outside 0..65535 is no picture; give 0..255, or fractions 0..1")
        values = eight_bits(values)
    return to_rgb(Image.fromarray(values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values))


def deep_rgb(image: Image.Image, again: Image.Image) -> Image.Image:
    """Return a loaded picture, or where it is dark because its 16-bit channels use fewer bits, those bits scaled.

    Args:
        image: The picture, loaded.
        again: The same picture opened a second time and not loaded yet.
    """
    tiles = [_with_other_order(tile) for tile in getattr(again, "tile", [])]
    if image.mode not in ("RGB", "RGBA") or not tiles or None in tiles:
        return image
    high = np.asarray(image)
    if high[..., :3].max(initial=0) > 63:  # all 16 bits are in use
        return image
    again.tile = tiles  # type: ignore[attr-defined]
    pairs = tiles[0].args == _PAIRS
    low = np.asarray(again)[..., 1:2] if pairs else np.asarray(again)[..., :3]
    deep = high[..., :3].astype(np.uint16) * 256 + low
    return Image.fromarray(np.concatenate((eight_bits(deep), high[..., 3:]), axis=-1))


def _with_other_order(tile: Any) -> Any:
    """Return a tile that is decoded in the other byte order; None if its channels do not have 16 bits."""
    several = isinstance(tile.args, tuple) and bool(tile.args)
    mode, _, order = str(tile.args[0] if several else tile.args).partition(";")
    if order not in _OTHER_ORDER:
        return None
    other = _PAIRS if mode == "LA" else f"{mode};{_OTHER_ORDER[order]}"
    return tile._replace(args=(other, *tile.args[1:]) if several else other)


def _grey_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = eight_bits(values)
    clear = image.info.get("transparency")
    if isinstance(clear, (int, float)):
        grey = np.where(values == clear, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")
