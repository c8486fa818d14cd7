"""Pictures of unusual kinds: shown rightly, or refused by an ImageError of one line."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from lavida.errors import ImageError, RequestError
from lavida.image.load import expand_input, open_image
from lavida.image.video import Video, open_video
from tests.pictures import gradient

RAMP = np.arange(64 * 64).reshape(64, 64)  # 0..4095: twelve bits


def png(kind: str = "PNG", image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or gradient()).save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16-bit channels [H, W, 2 to 4]."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def grey(source: Any) -> np.ndarray:
    opened = open_image(source)
    assert opened.mode == "RGB"
    return np.asarray(opened)[..., 0].astype(int)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "tEXt", "iCCP"])
def test_row_9_a_png_with_a_megabyte_of_text(kind: str) -> None:
    info, long = PngImagePlugin.PngInfo(), "x" * 3_000_000
    if kind == "iTXt":
        info.add_itxt("Comment", long, zip=True)
    elif kind != "iCCP":
        info.add_text("Comment", long if kind == "zTXt" else long * 30, zip=kind == "zTXt")
    profile = {"icc_profile": long.encode()} if kind == "iCCP" else {}
    opened = open_image(png(pnginfo=info, **profile))
    assert np.array_equal(np.asarray(opened), np.asarray(gradient()))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_row_9_grey_of_fewer_bits_in_sixteen(bits: int, kind: str) -> None:
    values = (RAMP * (2**bits - 1) // 4095).astype(np.uint16)
    assert np.abs(grey(png(kind, Image.fromarray(values))) - RAMP / 4095 * 255).max() <= 1


@pytest.mark.parametrize("channels", [3, 4])
def test_row_9_colour_of_twelve_bits_in_sixteen(channels: int) -> None:
    values = np.stack([RAMP, RAMP.T, RAMP[::-1], np.full_like(RAMP, 65535)][:channels], -1)
    opened = np.asarray(open_image(deep_png(values))).astype(float)
    assert np.abs(opened - values[..., :3] / 4095 * 255).max() <= 1
    whole = values.copy()
    whole[..., :3] *= 16
    assert np.abs(np.asarray(open_image(deep_png(whole))) - whole[..., :3] / 65535 * 255).max() <= 1


@pytest.mark.parametrize("most", [4095, 65535])
def test_row_9_grey_of_twelve_bits_with_alpha(most: int) -> None:
    values = np.stack([RAMP * (most // 4095), np.full_like(RAMP, 65535)], -1)
    assert np.abs(grey(deep_png(values)) - RAMP / 4095 * 255).max() <= 1


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_row_9_floating_point_with_a_hole(spoilt: float, tmp_path: Path) -> None:
    values = (RAMP / 4095).astype(np.float32)
    values[0, 0] = spoilt
    Image.fromarray(values).save(tmp_path / "a.tiff")
    shown = grey(tmp_path / "a.tiff")
    assert np.abs(shown - RAMP / 4095 * 255).ravel()[1:].max() <= 1
    values[:] = spoilt
    assert open_image(Image.fromarray(values)).size == (64, 64)


def test_floating_point_keeps_its_brightness() -> None:
    assert set(grey(Image.fromarray(np.full((16, 16), 0.5, np.float32))).ravel()) == {128}
    assert set(grey(Image.fromarray(np.full((16, 16), 200.0, np.float32))).ravel()) == {200}


def test_row_9_closed_and_cut_pictures(tmp_path: Path) -> None:
    gradient(640, 480).save(tmp_path / "a.jpg")
    closed = Image.open(tmp_path / "a.jpg")
    closed.close()
    data = (tmp_path / "a.jpg").read_bytes()
    emptied = Image.open(tmp_path / "a.jpg")
    emptied.fp.close()
    for spoilt in (closed, emptied, Image.open(io.BytesIO(data[:3000]))):
        with pytest.raises(ImageError, match="broken or cut short") as error:
            open_image(spoilt)
        assert "\n" not in str(error.value)
    with pytest.raises(ImageError, match="0x0 is too small"):
        open_image(Image.new("RGB", (0, 0)), any_shape=True)


def test_transparency_of_every_kind() -> None:
    half = Image.new("P", (16, 16))
    half.putpalette([0, 0, 0] * 256)
    assert open_image(png(image=half, transparency=b"\x80" + b"\xff" * 255)).getpixel((0, 0)) == (127, 127, 127)
    deep = Image.new("I;16", (16, 16), 300)
    deep.putpixel((3, 3), 0)
    opened = open_image(png(image=deep, transparency=300))
    assert opened.getpixel((0, 0)) == (255, 255, 255) and opened.getpixel((3, 3)) == (0, 0, 0)
    colour = Image.new("RGB", (16, 16), (9, 9, 9))
    assert open_image(png(image=colour, transparency=(9, 9, 9))).getpixel((0, 0)) == (255, 255, 255)
    assert open_image(Image.new("LA", (16, 16), (0, 0)).convert("La")).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_of_every_format() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        r, g, b = open_image(png(kind, red)).getpixel((5, 5))
        assert r > 240 and g < 10 and b < 10


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.full((16, 20, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((16, 20), 7, np.uint8), (7, 7, 7)),
        (np.full((16, 20, 1), 7, np.int64), (7, 7, 7)),
        (np.full((16, 20, 3), 0.5, np.float32), (128, 128, 128)),
        (np.full((3, 16, 20), 0.5), (128, 128, 128)),
        (np.zeros((16, 20, 4), np.uint8), (255, 255, 255)),
        (np.full((16, 20), 4095, np.uint16), (255, 255, 255)),
        (np.ones((16, 20), bool), (255, 255, 255)),
        (torch.full((3, 16, 20), 7, dtype=torch.uint8), (7, 7, 7)),
        (np.asfortranarray(np.full((16, 20, 3), 7, np.uint8))[::-1], (7, 7, 7)),
    ],
)
def test_arrays_are_pictures(array: Any, pixel: tuple[int, int, int]) -> None:
    opened = open_image(array)
    assert opened.size == (20, 16) and opened.getpixel((2, 3)) == pixel


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5),
        np.zeros((0, 4, 3)),
        np.zeros((9, 9, 5)),
        np.zeros((2, 9, 9, 3)),
        np.full((9, 9, 3), -2.0),
        np.full((9, 9), np.nan),
        np.full((9, 9), 1j),
        np.array([["a"] * 9] * 9),
        np.array([[None] * 9] * 9),
    ],
    ids=str,
)
def test_arrays_that_are_no_pictures(array: Any) -> None:
    with pytest.raises(ImageError):
        open_image(array)


def test_file_objects_and_addresses(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    gradient().save(path)
    data = path.read_bytes()
    written = io.BytesIO()
    gradient().save(written, "PNG")  # stands at its end
    address = "data:image/png;base64," + base64.b64encode(data).decode()
    with path.open("rb") as file:
        sources = (file, written, bytearray(data), memoryview(data), address, f"file://{tmp_path}/a%20b.png")
        for source in sources:
            assert np.array_equal(np.asarray(open_image(source)), np.asarray(gradient()))
    for broken, words in (
        (io.StringIO("text"), "open it in binary mode"),
        (io.BytesIO(), "the file is empty"),
        ("data:image/png;base64,@@@", "its data: address is broken"),
        ("https://example.org/a.png?size=3", "is an address and no file; download it first"),
        (Path("https://example.org/a.png"), "is an address and no file"),
    ):
        with pytest.raises(ImageError, match=words):
            open_image(broken)
    closed = io.BytesIO(data)
    closed.close()
    with pytest.raises(ImageError, match="cannot read the file object"):
        open_image(closed)
    (found,) = expand_input("https://example.org/a*.png?size=3")
    with pytest.raises(ImageError, match="is an address and no file"):
        open_image(found.source, name=found.name)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "a git-lfs pointer"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"<svg xmlns='x'/>", "a drawing in SVG"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript file"),
    ],
)
def test_files_that_are_something_else_are_named(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match=words):
        open_image(tmp_path / "a.png")


def test_videos_of_other_kinds(tmp_path: Path) -> None:
    frames = np.stack([np.full((16, 16, 3), i, np.uint8) for i in range(5)])
    assert [one.getpixel((0, 0))[0] for one in open_video(Video(source=frames, frames=3))] == [0, 2, 4]
    moving = tmp_path / "a.gif"
    gradient().save(moving, save_all=True, append_images=[gradient().rotate(90)], duration=100)
    for source in (moving, moving.read_bytes(), io.BytesIO(moving.read_bytes())):
        assert len(open_video(Video(source=source))) == 2
    with pytest.raises(ImageError, match="is an address and no file"):
        open_video(Video(source="https://example.org/a.mp4"))
    for nothing in (5, None, {1, 2}):
        with pytest.raises(RequestError, match="cannot read a video from"):
            Video(source=nothing)
    with pytest.raises(ImageError, match="not a video that can be read"):
        open_video(Video(source=b"nothing"))
