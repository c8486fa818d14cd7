"""Clip art and stamps that show a concept: the files of `clipart.tsv`, each looked at before it was listed.

A row names the package, the concept and the file; `#left` takes the left half of a two-frame sprite.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from PIL import Image

from lavida.errors import DataError
from mini.data.icons import FoundPicture, rasterise

STAMPS = "usr/share/tuxpaint/stamps"
CLIPART = "usr/share/openclipart/png"
GCOMPRIS = "usr/share/gcompris-qt/rcc"

# style -> (Debian package, licence)
SOURCES = {
    "tuxpaint": ("tuxpaint-stamps-default", "GPL-2.0"),
    "openclipart": ("openclipart-png", "public domain"),
    "gcompris": ("gcompris-qt-data", "per file: CC-BY-SA, CC-BY, CC0, GPL-3.0+"),
}


def read_rcc(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every (name, bytes) of a compiled Qt resource file. Raises DataError."""
    data = path.read_bytes()
    if data[:4] != b"qres":
        raise DataError(f"{path} is not a Qt resource file: fetch the package again")
    version, tree, payload, names = struct.unpack(">4i", data[4:20])
    size = 14 if version == 1 else 22

    def name(offset: int) -> str:
        (length,) = struct.unpack_from(">H", data, names + offset)
        start = names + offset + 6
        return data[start : start + 2 * length].decode("utf-16-be")

    def walk(node: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * size
        name_offset, flags = struct.unpack_from(">IH", data, at)
        full = prefix + (name(name_offset) if node else "")
        if flags & 2:
            count, child = struct.unpack_from(">II", data, at + 6)
            for k in range(child, child + count):
                yield from walk(k, full + "/")
            return
        (start,) = struct.unpack_from(">I", data, at + 10)
        (length,) = struct.unpack_from(">I", data, payload + start)
        raw = data[payload + start + 4 : payload + start + 4 + length]
        if not flags & 4:  # zstd is never used by this package
            yield full, zlib.decompress(raw[4:]) if flags & 1 else raw

    yield from walk(0, "")


def open_picture(data: bytes, svg: bool, size: int = 256) -> Image.Image:
    """Decode an SVG or a bitmap as RGBA; bitmaps keep their size up to 1024."""
    if svg:
        return rasterise(data.decode("utf-8", "replace"), size)
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft(None, (1024, 1024))
        return picture.convert("RGBA")


def _caption(stamp: Path) -> str:
    lines = stamp.with_suffix(".txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[0].strip() if lines else ""


def listed() -> list[tuple[str, str, str]]:
    """Return the rows (style, concept, file) of clipart.tsv."""
    text = files("mini.data").joinpath("clipart.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return [(style, concept, path) for style, concept, path in rows]


def find_clips(folders: dict[str, Path]) -> Iterator[FoundPicture]:
    """Yield every listed picture; `folders` maps a style to its unpacked Debian package."""
    resources: dict[str, dict[str, bytes]] = {}
    for style, concept, listed_path in listed():
        path, _, half = listed_path.partition("#")
        package, licence = SOURCES[style]
        if style == "gcompris":
            pack, _, inner = path.partition(":")
            if pack not in resources:
                found = read_rcc(folders[style] / GCOMPRIS / f"{pack}.rcc")
                resources[pack] = {n.split("/resource/")[-1]: raw for n, raw in found}
            data, caption = resources[pack][inner], inner.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        else:
            file = folders[style] / (STAMPS if style == "tuxpaint" else CLIPART) / path
            data = file.read_bytes()
            caption = _caption(file) if style == "tuxpaint" else file.stem
        picture = open_picture(data, path.endswith(".svg"))
        if half:
            picture = picture.crop((0, 0, picture.width // 2, picture.height))
        yield FoundPicture(
            concept=concept, style=style, package=package, licence=licence, caption=caption, picture=picture
        )
