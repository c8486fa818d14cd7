"""Bytes that strangers send as pictures, and data addresses of them."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from tests.pictures import gradient, png_header


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def address(data: bytes, kind: str = "image/png") -> str:
    """A data address."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _moving() -> bytes:
    return encoded(gradient(), "GIF", save_all=True, append_images=[gradient().rotate(90)])


# name -> (address of a picture that is refused, words of the line that says why)
HOSTILE: dict[str, tuple[str, str]] = {
    "bomb": (address(png_header(30_000, 30_000)), "more than 50 megapixels"),
    "large": (address(png_header(10_000, 6_000)), "more than 50 megapixels"),
    "truncated": (address(encoded(gradient(640, 480), "JPEG")[:2000], "image/jpeg"), "broken or cut short"),
    "svg": (address(b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"), "a drawing in SVG"),
    "html": (address(b"<!doctype html><script>alert(1)</script>"), "a web page"),
    "moving": (address(_moving(), "image/gif"), "an animation of 2 frames"),
    "icon": (address(encoded(gradient(), "ICO")), "not a picture that can be read"),
    "postscript": (address(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "PostScript"),
    "empty": ("data:image/png;base64,", "empty"),
    "broken": ("data:image/png;base64,@@@", "broken"),
    "tiny": (address(encoded(gradient(1, 1))), "too small"),
    "long": ("data:image/png;base64," + "A" * 30_000_000, "more than 16,777,216 bytes"),
    "percent": ("data:," + "%41" * 50_000, "not a picture"),
    "file": ("file:///etc/passwd", "files of the server are not opened"),
    "path": ("/etc/passwd", "neither a data: address nor a link"),
    "metadata": ("http://169.254.169.254/latest/meta-data/", "fetches nothing"),
    "other": ("gopher://127.0.0.1/x", "neither a data: address nor a link"),
    "nothing": ("", "neither a data: address nor a link"),
}
