"""Pictures from files, folders, globs, standard input, bytes and arrays; whatever is wrong is reported in one line."""

from __future__ import annotations

import base64
import binascii
import glob
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lavida.errors import ImageError
from lavida.image.pixels import array_to_image, deep_rgb, to_rgb
from lavida.image.png import without_texts

MAX_MEGAPIXELS = 100
MIN_SIDE = 8
MAX_ASPECT = 100
SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Formats that move. A second page of a TIFF or a depth map in a phone's JPEG is not a second frame.
_MOVING = ("AVIF", "GIF", "PNG", "WEBP")
_FOREIGN = ("EPS",)  # drawn by another program
ADDRESS = re.compile(r"(https?|ftp|s3|gs|hf):/{1,2}", re.IGNORECASE)  # a Path has one slash only
# How bytes begin that are no picture, and what they are.
_STRANGERS = (
    (b"version https://git-lfs", "a git-lfs pointer and not the picture; run `git lfs pull`"),
    (b"<!doctype html", "a web page and not a picture; save the picture itself"),
    (b"<html", "a web page and not a picture; save the picture itself"),
    (b"<svg", "a drawing in SVG; save it as PNG"),
    (b"<?xml", "a drawing or document in XML; save it as PNG"),
    (b"%pdf", "a PDF; save the page as PNG"),
    (b"%!ps", "a PostScript file; save it as PNG"),
)


@dataclass(frozen=True, kw_only=True)
class Input:
    """Name one picture to open: the name shown to the user, and a path or the bytes themselves."""

    name: str
    source: Path | bytes


@dataclass(frozen=True, kw_only=True)
class _Options:
    """Hold the options of `open_image`."""

    any_shape: bool
    official: bool
    pixels: int
    formats: tuple[str, ...] | None


def open_image(
    source: Any,
    *,
    name: str | None = None,
    any_shape: bool = False,
    official: bool = False,
    pixels: int = MAX_MEGAPIXELS * 1_000_000,
    formats: Sequence[str] | None = None,
) -> Image.Image:
    """Open a picture upright, in RGB, transparency laid on white.

    Args:
        source: A path, the bytes of a file, a file object (read from its beginning if it can be rewound), a PIL image,
            a `data:` or `file:` address, or an array [H, W], [H, W, C] or [C, H, W] of 0..255 or fractions 0..1.
        name: Begins the line that reports an error.
        any_shape: Allow under 8 pixels on a side, and more than 100 times longer than wide.
        official: Do what the published code does instead: colours converted by Pillow alone (transparency dropped, 16
            bits clipped), orientation ignored.
        pixels: The most that a picture may have.
        formats: Those of Pillow that are read, such as "PNG"; None reads all. No other decoder sees the bytes.

    Raises:
        ImageError: The picture is missing, broken, moving, of a size that is not allowed or of more than `pixels`; the
            size is looked at before any pixel is decoded.
    """
    known = None if formats is None else tuple(formats)
    options = _Options(any_shape=any_shape, official=official, pixels=pixels, formats=known)
    if isinstance(source, str) and source[:5].lower() == "data:":
        name, source = name or "the picture", from_data_address(source)
    elif isinstance(source, str) and source[:7].lower() == "file://":
        source = from_file_address(source)
    if isinstance(source, str) and not source:
        raise ImageError("the path of a picture is empty; give the path of a file")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        with _open(path, name or str(source)) as file:
            return _decode(file, name or str(source), options)
    name = name or "the picture"
    if isinstance(source, Image.Image):
        return _guarded(name, lambda: _finish(source, name, options), options)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(io.BytesIO(source), name, options)
    if callable(getattr(source, "read", None)):
        return _decode(io.BytesIO(_read(source, name)), name, options)
    if isinstance(source, np.ndarray) or hasattr(source, "__array__"):
        return _guarded(name, lambda: _finish(_from_array(source, name), name, options), options)
    raise ImageError(
        f"cannot open a picture from {type(source).__name__}; give a path, bytes, a file, a PIL image or an array"
    )


def expand_input(arg: str, *, stdin: bytes | None = None) -> Iterator[Input]:
    """Yield the pictures that an argument names: a file, a folder, a pattern, or `-` for standard input.

    Standard input holds either one picture or a list of arguments, one a line. Raises ImageError for a folder
    without pictures and a pattern that matches nothing; a missing file is left to `open_image`.
    """
    path = Path(arg)
    if arg == "-":
        yield from _from_stdin(sys.stdin.buffer.read() if stdin is None else stdin)
    elif path.is_dir():
        yield from _from_folder(path)
    elif glob.has_magic(arg) and not path.exists() and not ADDRESS.match(arg):
        found = sorted(p for p in glob.glob(arg, recursive=True) if Path(p).is_file())
        if not found:
            raise ImageError(f"{arg}: no file matches this pattern; check the folder and the ending")
        yield from (Input(name=p, source=Path(p)) for p in found)
    else:
        yield Input(name=arg, source=path)


def expand_inputs(args: Sequence[str]) -> Iterator[Input]:
    """Yield the pictures of several arguments, as `expand_input` does, up to the first error."""
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
    """Return the lines of a text, or None if these are the bytes of a picture."""
    # Only the plain Netpbm formats (P1 to P3) are pictures in ASCII; all others hold a NUL or are not UTF-8.
    if b"\0" in data or data[:2] in (b"P1", b"P2", b"P3"):
        return None
    try:
        return [line.strip() for line in data.decode().splitlines() if line.strip()]
    except UnicodeDecodeError:
        return None


def from_file_address(address: str) -> str:
    """Return the path of a `file:` address, with or without a host."""
    return unquote(re.sub(r"(?i)^file://(localhost(?=/))?", "", address))


def from_data_address(address: str) -> bytes:
    """Return the bytes of a `data:` address; base64 may be broken into lines, of either alphabet and unpadded.

    Raises:
        ImageError: The address is broken.
    """
    head, _, data = address.partition(",")
    try:
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(data)
        letters = "".join(unquote(data).split()).rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"the picture: its data: address is broken ({_line(error)}); encode it again") from None


def _from_array(source: Any, name: str) -> Image.Image:
    if callable(getattr(source, "detach", None)):  # a tensor, perhaps with a gradient or on a GPU
        source = source.detach().cpu()
        source = source.float() if source.is_floating_point() else source
    try:
        return array_to_image(np.asarray(source))
    except (ValueError, TypeError) as error:
        raise ImageError(f"{name}: {_line(error)}") from None


def _read(source: Any, name: str) -> bytes:
    """Return the bytes of a file object."""
    try:
        if callable(getattr(source, "seek", None)) and (not hasattr(source, "seekable") or source.seekable()):
            source.seek(0)
        data = source.read()
    except Exception as error:  # whatever a file object of the caller's raises
        raise ImageError(f"{name}: cannot read the file object ({_line(error)})") from None
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ImageError(f"{name}: the file object gives {type(data).__name__}; open it in binary mode")
    return bytes(data)


def _open(path: Path, name: str) -> BinaryIO:
    if ADDRESS.match(name) or ADDRESS.match(str(path)):
        raise ImageError(f"{name}: is an address and no file; download it first, nothing is fetched from a network")
    try:
        if path.is_dir():
            raise ImageError(f"{name}: is a folder; name the pictures in it")
        return path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ImageError(f"{name}: cannot read the file ({_line(error)})") from None


def _decode(stream: BinaryIO, name: str, options: _Options) -> Image.Image:
    if not stream.read(1):
        raise ImageError(f"{name}: the file is empty; save the picture again")
    stream.seek(0)
    start = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginning, problem in _STRANGERS:
        if start.startswith(beginning):
            raise ImageError(f"{name}: is {problem}")
    stream.seek(0)
    try:
        return _guarded(name, lambda: _finish(_opened(stream, options), name, options, stream), options)
    except ImageError:
        stream.seek(0)
        plain = without_texts(stream.read())  # of PNGs: long texts and profiles are refused by Pillow
        if plain is None:
            raise
    again = io.BytesIO(plain)
    return _guarded(name, lambda: _finish(_opened(io.BytesIO(plain), options), name, options, again), options)


def _opened(stream: BinaryIO, options: _Options) -> Image.Image:
    return Image.open(stream, formats=options.formats)


def _guarded(name: str, work: Any, options: _Options) -> Image.Image:
    """Return the result of `work`, with whatever Pillow raises as an ImageError: its decoders raise any exception."""
    try:
        with warnings.catch_warnings():
            # Large pictures are refused here, and corrupt EXIF does not matter.
            warnings.simplefilter("ignore")
            image: Image.Image = work()
            return image
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(name, options) from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture that can be read; use PNG, JPEG, WebP, BMP or TIFF") from None
    except Exception as error:
        raise ImageError(f"{name}: the picture is broken or cut short ({_line(error)}); save it again") from None


def _too_large(name: str, options: _Options) -> ImageError:
    return ImageError(f"{name}: more than {options.pixels / 1e6:g} megapixels; scale the picture down first")


def _finish(image: Image.Image, name: str, options: _Options, stream: BinaryIO | None = None) -> Image.Image:
    _check(image, name, options)
    image.load()
    if options.official:
        return image.convert("RGB")
    if stream is not None:
        stream.seek(0)
        image = deep_rgb(image, _opened(stream, options))
    return to_rgb(_upright(image))


def _check(image: Image.Image, name: str, options: _Options) -> None:
    """Raise ImageError for what can be refused by the header alone."""
    width, height = image.size
    if image.format in _FOREIGN:
        raise ImageError(f"{name}: {image.format} is not read; save the picture as PNG")
    if width * height > options.pixels:
        raise _too_large(name, options)
    if min(width, height) < (1 if options.any_shape else MIN_SIDE):
        raise ImageError(f"{name}: {width}x{height} is too small; a picture needs at least {MIN_SIDE} pixels on a side")
    if max(width, height) > MAX_ASPECT * min(width, height) and not options.any_shape:
        raise ImageError(
            f"{name}: {width}x{height} is too long and thin (over {MAX_ASPECT}:1); cut out the part you ask about"
        )
    if image.format in _MOVING and getattr(image, "is_animated", False):
        frames = getattr(image, "n_frames", "several")
        raise ImageError(f"{name}: an animation of {frames} frames; give one frame, or use it as a video")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable EXIF, on which Pillow raises anything, does not make the pixels unreadable
        return image


def _line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
