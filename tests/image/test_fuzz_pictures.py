"""Picture files of every format with bytes changed, cut or put in: shown or refused in one line (tests/fuzz.py)."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lavida.image.load import open_image
from tests.fuzz import cases, few_and_many, run
from tests.pictures import gradient


def _file(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or gradient(24, 20)).save(buffer, kind, **options)
    return buffer.getvalue()


def _files() -> dict[str, bytes]:
    deep = Image.fromarray(np.arange(480, dtype=np.uint16).reshape(20, 24) * 9)
    floats = Image.fromarray(np.linspace(0, 1, 480, dtype=np.float32).reshape(20, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = (
        "PNG",
        "JPEG",
        "WEBP",
        "BMP",
        "TIFF",
        "GIF",
        "PPM",
        "TGA",
        "ICO",
        "JPEG2000",
        "AVIF",
        "DDS",
        "PCX",
        "SGI",
        "QOI",
    )
    made = {kind: _file(kind) for kind in kinds}
    made |= {"PNG palette": _file("PNG", gradient(24, 20).convert("P"), transparency=b"\0\x80\xff")}
    made |= {"PNG 16": _file("PNG", deep), "TIFF 16": _file("TIFF", deep), "TIFF float": _file("TIFF", floats)}
    made |= {f"TIFF {name}": _file("TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")}
    made |= {"JPEG EXIF": _file("JPEG", exif=exif), "JPEG CMYK": _file("JPEG", gradient(24, 20).convert("CMYK"))}
    made |= {
        "JPEG progressive": _file("JPEG", progressive=True),
        "RGBA": _file("PNG", gradient(24, 20).convert("RGBA")),
    }
    made["GIF moving"] = _file("GIF", save_all=True, append_images=[gradient(24, 20).rotate(90)])
    return made


FILES = _files()
BYTES = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0"]
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "put", "cut", "end"]), st.floats(0, 1) | st.floats(0, 0.1), BYTES), max_size=6
)


def changed(data: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for how, place, new in changes:
        at = int(place * len(data))
        if how == "set":
            data = data[:at] + new + data[at + len(new) :]
        elif how == "put":
            data = data[:at] + new + data[at:]
        elif how == "cut":
            data = data[:at] + data[at + len(new) :]
        else:
            data = data[:at]
    return data


@few_and_many
def test_any_file_is_a_picture_or_refused(count: int) -> None:
    shown = 0

    def look(data: bytes, official: bool) -> None:
        opened = open_image(data, official=official)
        assert opened.mode == "RGB" and np.asarray(opened).shape == (*opened.size[::-1], 3)

    @cases(count)
    @given(st.sampled_from(sorted(FILES)), CHANGES, st.booleans())
    def property_holds(kind: str, changes: list[tuple[str, float, bytes]], official: bool) -> None:
        nonlocal shown
        shown += run(lambda: look(changed(FILES[kind], changes), official))

    property_holds()
    assert shown > count // 20


@few_and_many
def test_any_array_is_a_picture_or_refused(count: int) -> None:
    from hypothesis.extra import numpy as arrays

    kinds = arrays.scalar_dtypes() | arrays.unicode_string_dtypes(max_len=2)
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=12)

    @cases(count)
    @given(arrays.arrays(kinds, shapes) | arrays.arrays(st.sampled_from(["u1", "f4", "i8"]), (9, 9, 3)))
    def property_holds(array: np.ndarray) -> None:
        run(lambda: open_image(array, any_shape=True))

    property_holds()
