"""Pictures from files, folders, globs and standard input; whatever is wrong with one is said in one line."""

from __future__ import annotations

import glob
import io
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from lavida.errors import ImageError

MAX_MEGAPIXELS = 100
MIN_SIDE = 8
MAX_ASPECT = 100
SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Formats that move. A second page of a TIFF or a depth map in a phone's JPEG is not a second frame.
_MOVING = ("AVIF", "GIF", "PNG", "WEBP")
# What Pillow's decoders raise on broken bytes, besides OSError.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


@dataclass(frozen=True, kw_only=True)
class Input:
    """One picture to open: the name shown to the user, and a path or the bytes themselves."""

    name: str
    source: Path | bytes


@dataclass(frozen=True, kw_only=True)
class _How:
    """What `open_image` was asked for besides the picture."""

    any_shape: bool
    official: bool


def open_image(
    source: str | Path | bytes | Image.Image,
    *,
    name: str | None = None,
    any_shape: bool = False,
    official: bool = False,
) -> Image.Image:
    """The picture upright, in RGB, transparency laid on white.

    Raises ImageError for a file that is missing, broken, moving, over 100 megapixels, and unless `any_shape` for one
    under 8 pixels on a side or more than 100 times longer than wide; the size is looked at before any pixel is decoded.
    `official` does what the published code does instead: colours converted by Pillow alone (transparency dropped, 16
    bits clipped), orientation ignored.
    """
    if not isinstance(source, (str, Path, bytes, Image.Image)):
        raise ImageError(f"cannot open a picture from {type(source).__name__}; give a path, bytes or a PIL image")
    how = _How(any_shape=any_shape, official=official)
    if isinstance(source, Image.Image):
        return _finish(source, name or "the picture", how)
    name = name or ("the picture" if isinstance(source, bytes) else str(source))
    with io.BytesIO(source) if isinstance(source, bytes) else _open(Path(source), name) as stream:
        if not stream.read(1):
            raise ImageError(f"{name}: the file is empty; save the picture again")
        stream.seek(0)
        return _decode(stream, name, how)


def expand_input(arg: str, *, stdin: bytes | None = None) -> Iterator[Input]:
    """The pictures that an argument names: a file, a folder, a pattern, or `-` for standard input.

    Standard input holds either one picture or a list of arguments, one a line. Raises ImageError for a folder
    without pictures and a pattern that matches nothing; a missing file is left to `open_image`.
    """
    path = Path(arg)
    if arg == "-":
        yield from _from_stdin(sys.stdin.buffer.read() if stdin is None else stdin)
    elif path.is_dir():
        yield from _from_folder(path)
    elif glob.has_magic(arg) and not path.exists():
        found = sorted(p for p in glob.glob(arg, recursive=True) if Path(p).is_file())
        if not found:
            raise ImageError(f"{arg}: no file matches this pattern; check the folder and the ending")
        yield from (Input(name=p, source=Path(p)) for p in found)
    else:
        yield Input(name=arg, source=path)


def expand_inputs(args: Sequence[str]) -> Iterator[Input]:
    """`expand_input` over several arguments, stopping at the first error."""
    for arg in args:
        yield from expand_input(arg)


def _from_folder(folder: Path) -> Iterator[Input]:
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    except OSError as error:
        raise ImageError(f"{folder}: cannot list the folder ({error.strerror})") from None
    if not found:
        raise ImageError(f"{folder}: no pictures in this folder (looked for {', '.join(SUFFIXES)})")
    yield from (Input(name=str(p), source=p) for p in found)


def _from_stdin(data: bytes) -> Iterator[Input]:
    lines = _lines(data)
    if lines is None:
        yield Input(name="-", source=data)
        return
    if not lines:
        raise ImageError("-: standard input is empty; pipe a picture or a list of files into it")
    for line in lines:
        if line == "-":
            raise ImageError("-: the list on standard input names standard input itself; remove that line")
        yield from expand_input(line)


def _lines(data: bytes) -> list[str] | None:
    """The lines of a text, or None if these are the bytes of a picture."""
    # Only the plain Netpbm formats (P1 to P3) are pictures in ASCII; all others hold a NUL or are not UTF-8.
    if b"\0" in data or data[:2] in (b"P1", b"P2", b"P3"):
        return None
    try:
        return [line.strip() for line in data.decode().splitlines() if line.strip()]
    except UnicodeDecodeError:
        return None


def _open(path: Path, name: str) -> BinaryIO:
    try:
        if path.is_dir():
            raise ImageError(f"{name}: is a folder; name the pictures in it")
        return path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ImageError(f"{name}: cannot read the file ({_line(error)})") from None


def _decode(stream: BinaryIO, name: str, how: _How) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Of large pictures we complain ourselves; of corrupt EXIF nobody needs to know.
            warnings.simplefilter("ignore")
            return _finish(Image.open(stream), name, how)
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture that can be read; use PNG, JPEG, WebP, BMP or TIFF") from None
    except _BROKEN as error:
        raise ImageError(f"{name}: the picture is broken or cut short ({_line(error)}); save it again") from None


def _too_large(name: str) -> ImageError:
    return ImageError(f"{name}: more than {MAX_MEGAPIXELS} megapixels; scale the picture down first")


def _finish(image: Image.Image, name: str, how: _How) -> Image.Image:
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise _too_large(name)
    if min(width, height) < MIN_SIDE and not how.any_shape:
        raise ImageError(f"{name}: {width}x{height} is too small; a picture needs at least {MIN_SIDE} pixels on a side")
    if max(width, height) > MAX_ASPECT * min(width, height) and not how.any_shape:
        raise ImageError(
            f"{name}: {width}x{height} is too long and thin (over {MAX_ASPECT}:1); cut out the part you ask about"
        )
    if image.format in _MOVING and getattr(image, "is_animated", False):
        raise ImageError(f"{name}: an animation of {image.n_frames} frames; give one frame, or use it as a video")
    image.load()
    return image.convert("RGB") if how.official else _to_rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN:  # unreadable EXIF does not make the pixels unreadable
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or floating point, brought to 0..255; Pillow's own conversion clips instead."""
    import numpy as np

    values = np.asarray(image).astype(np.float64)
    low, high = 0.0, 65535.0
    if image.mode in ("I", "F") and not (0.0 <= values.min() and 255.0 < values.max() <= 65535.0):
        low, high = float(values.min()), float(values.max())
        if image.mode == "I" and 0.0 <= low and high <= 255.0:
            low, high = 0.0, 255.0
    scaled = (values - low) / max(high - low, 1e-12) * 255.0
    return Image.fromarray(np.nan_to_num(scaled).round().clip(0, 255).astype("uint8"))


def _line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
