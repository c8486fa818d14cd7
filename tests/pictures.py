"""Pictures for tests, right and wrong, drawn on the spot."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    """Red grows to the right, green downwards: left, right, up and down can be told apart."""
    x = np.linspace(0, 255, width, dtype=np.uint8)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, np.full_like(x, 60)], axis=-1))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def _missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def _truncated(path: Path) -> None:
    gradient(640, 480).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:2000])


def _animation(path: Path) -> None:
    frames = [gradient().rotate(90 * i) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


# name of the file -> (how to make it, words of the one line that refuses it)
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.png": (_missing, "no such file"),
    "folder.png": (lambda p: p.mkdir(), "no pictures in this folder|is a folder"),
    "text.png": (lambda p: p.write_text("this is a shopping list\n"), "not a picture"),
    "empty.png": (lambda p: p.write_bytes(b""), "is empty"),
    "truncated.jpg": (_truncated, "broken or cut short"),
    "one.png": (lambda p: gradient(1, 1).save(p), "1x1 is too small"),
    "thin.png": (lambda p: gradient(20_000, 10).save(p), "20000x10 is too long and thin"),
    "huge.png": (lambda p: p.write_bytes(png_header(20_000, 10_000)), "more than 100 megapixels"),
    "large.png": (lambda p: p.write_bytes(png_header(12_000, 10_000)), "more than 100 megapixels"),
    "moving.gif": (_animation, "an animation of 3 frames"),
    "moving.webp": (_animation, "an animation of 3 frames"),
}
