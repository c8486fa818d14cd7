"""Every way in which a picture can be wrong, and the pictures that must look right."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavida.errors import ImageError
from lavida.image.load import expand_input, expand_inputs, open_image
from tests.pictures import BAD, gradient


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    path = tmp_path / name
    make(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a decompression-bomb warning would be a second line
        with pytest.raises(ImageError, match=words) as error:
            open_image(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_bytes_name_and_a_real_200_megapixel_file(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(buffer, "PNG")
    with pytest.raises(ImageError, match="^standard input: more than 100 megapixels"):
        open_image(buffer.getvalue(), name="standard input")
    with pytest.raises(ImageError, match="^the picture: the file is empty"):
        open_image(b"")


def test_what_is_no_picture_at_all() -> None:
    with pytest.raises(ImageError, match="cannot open a picture from int; give a path"):
        open_image(7)


def test_a_path_that_cannot_be_a_path() -> None:
    with pytest.raises(ImageError, match="cannot read the file"):
        open_image("nul\0in the path.png")
    with pytest.raises(ImageError, match="cannot read the file"):
        open_image("x" * 5000)


@pytest.mark.parametrize("form", ["path", "str", "bytes", "pil"])
def test_forms_of_one_picture_agree(form: str, tmp_path: Path) -> None:
    picture, path = gradient(), tmp_path / "a.png"
    picture.save(path)
    source = {"path": path, "str": str(path), "bytes": path.read_bytes(), "pil": picture}[form]
    opened = open_image(source)
    assert opened.mode == "RGB" and opened.size == (64, 48)
    assert np.array_equal(np.asarray(opened), np.asarray(picture))


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    picture = gradient()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    picture.save(tmp_path / "a.png", exif=exif)
    opened = open_image(tmp_path / "a.png")
    assert opened.size == (48, 64)
    assert np.array_equal(np.asarray(opened), np.asarray(picture.transpose(Image.Transpose.ROTATE_270)))


def test_broken_exif_is_ignored(tmp_path: Path) -> None:
    gradient().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*" + b"\xff" * 12)
    assert open_image(tmp_path / "a.jpg").size == (64, 48)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str, tmp_path: Path) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 8, 16))
    opened = open_image(clear.convert(mode))
    assert opened.getpixel((2, 2)) == (0, 0, 0) and opened.getpixel((12, 2)) == (255, 255, 255)


def test_transparent_palette(tmp_path: Path) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.save(tmp_path / "a.png", transparency=1)
    assert open_image(tmp_path / "a.png").getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_other_modes_become_rgb(mode: str) -> None:
    assert open_image(gradient().convert(mode)).mode == "RGB"


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    grey = np.asarray(open_image(tmp_path / "a.png"))[..., 0].astype(int)
    assert np.abs(grey - ramp / 257).max() <= 1


def test_floating_point_grey() -> None:
    ramp = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    grey = np.asarray(open_image(Image.fromarray(ramp)))[..., 0]
    assert grey.min() == 0 and grey.max() == 255


@pytest.mark.parametrize(
    ("size", "mode", "colour", "seen"),
    [
        ((40, 30), "RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ((40, 30), "RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ((40, 30), "LA", (90, 255), (90, 90, 90)),
        ((40, 30), "L", 90, (90, 90, 90)),
        ((40, 30), "1", 1, (255, 255, 255)),
        ((40, 30), "CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ((40, 30), "I;16", 128 * 257, (128, 128, 128)),
        ((1, 1), "RGB", (1, 2, 3), (1, 2, 3)),
        ((9000, 2), "RGB", (1, 2, 3), (1, 2, 3)),
    ],
)
def test_colours_of_each_mode_and_pictures_of_any_shape(size: tuple, mode: str, colour: object, seen: tuple) -> None:
    opened = open_image(Image.new(mode, size, colour), any_shape=True)
    assert opened.mode == "RGB" and opened.size == size and opened.getpixel((0, 0)) == seen


def test_the_official_way_leaves_conversion_to_pillow(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (16, 16), (10, 20, 30, 0))
    assert open_image(clear, official=True).getpixel((0, 0)) == (10, 20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient().save(tmp_path / "a.png", exif=exif)
    assert open_image(tmp_path / "a.png", official=True).size == (64, 48)


def test_a_still_gif_and_a_phone_picture_with_a_second_image_pass(tmp_path: Path) -> None:
    gradient().save(tmp_path / "a.gif")
    gradient().save(tmp_path / "a.mpo", save_all=True, append_images=[gradient().rotate(90)])
    gradient().save(tmp_path / "a.tiff", save_all=True, append_images=[gradient()])
    for name in ("a.gif", "a.mpo", "a.tiff"):
        assert open_image(tmp_path / name).size == (64, 48)


def test_expand_folder_pattern_and_list(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "inner.png").mkdir()
    names = [Path(i.name).name for i in expand_input(str(tmp_path))]
    assert names == ["a.JPG", "b.png"]
    assert [i.name for i in expand_input(str(tmp_path / "*.png"))] == [str(tmp_path / "b.png")]
    listed = f"{tmp_path}/b.png\n\n{tmp_path}\n".encode()
    assert [Path(i.name).name for i in expand_input("-", stdin=listed)] == ["b.png", "a.JPG", "b.png"]
    assert next(expand_inputs(["nowhere.png", str(tmp_path / "b.png")])).name == "nowhere.png"


def test_a_file_with_brackets_in_its_name_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a[1].png"
    gradient().save(path)
    assert [i.source for i in expand_input(str(path))] == [path]


def test_expand_picture_on_standard_input() -> None:
    for kind in ("PNG", "JPEG", "GIF", "PPM", "BMP"):
        buffer = io.BytesIO()
        gradient().save(buffer, kind)
        (found,) = expand_input("-", stdin=buffer.getvalue())
        assert found.name == "-" and open_image(found.source, name=found.name).size == (64, 48)


@pytest.mark.parametrize(
    ("arg", "stdin", "words"),
    [("-", b"", "standard input is empty"), ("-", b"-\n", "names standard input itself"), ("no*.png", None, "matches")],
)
def test_expand_errors(arg: str, stdin: bytes | None, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        list(expand_input(arg, stdin=stdin))


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no pictures in this folder"):
        list(expand_input(str(tmp_path)))


def test_pixels_and_formats_may_be_limited() -> None:
    file = io.BytesIO()
    gradient(30, 20).save(file, "PNG")
    assert open_image(file.getvalue(), pixels=600, formats=("PNG",)).size == (30, 20)
    with pytest.raises(ImageError, match="more than 0.000599 megapixels"):
        open_image(file.getvalue(), pixels=599)
    with pytest.raises(ImageError, match="not a picture that can be read"):
        open_image(file.getvalue(), formats=("JPEG", "GIF"))
