import io
import struct
import zlib

import pytest

from lavida.errors import DataError
from mini.data.clips import SOURCES, find_clips, listed, open_picture, read_rcc
from mini.data.concepts import CONCEPTS
from tests.mini.data.atlases import drawing


def rcc(name: str, data: bytes, compressed: bool) -> bytes:
    """A Qt resource file of version 1 with one file in its root."""
    payload = struct.pack(">I", len(data)) + zlib.compress(data) if compressed else data
    blob = struct.pack(">I", len(payload)) + payload
    names = struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    tree = struct.pack(">IHII", 0, 2, 1, 1) + struct.pack(">IHHHI", 0, int(compressed), 0, 0, 0)
    head = 20
    sizes = (head, head + len(tree), head + len(tree) + len(blob))
    return b"qres" + struct.pack(">4i", 1, *sizes) + tree + blob + names


@pytest.mark.parametrize("compressed", [False, True])
def test_qt_resources_are_read(tmp_path, compressed):
    path = tmp_path / "a.rcc"
    path.write_bytes(rcc("owl.webp", b"hoot" * 20, compressed))
    assert list(read_rcc(path)) == [("/owl.webp", b"hoot" * 20)]


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.rcc").write_bytes(b"none")
    with pytest.raises(DataError, match="not a Qt resource"):
        list(read_rcc(tmp_path / "a.rcc"))


def test_every_listed_picture_names_a_known_concept_and_package():
    rows = listed()
    assert len(rows) > 700 and len(set(rows)) == len(rows)
    assert {style for style, _, _ in rows} == set(SOURCES)
    assert {concept for _, concept, _ in rows} <= set(CONCEPTS)


def test_pictures_are_found_with_their_captions(tmp_path, monkeypatch):
    stamps = tmp_path / "usr/share/tuxpaint/stamps"
    stamps.mkdir(parents=True)
    drawing((200, 30, 30)).save(stamps / "owl.png")
    (stamps / "owl.txt").write_text("An owl.\nfr.utf8=Une chouette.\n")
    monkeypatch.setattr("mini.data.clips.listed", lambda: [("tuxpaint", "owl", "owl.png#left")])
    (one,) = find_clips({"tuxpaint": tmp_path})
    assert (one.concept, one.caption, one.licence) == ("owl", "An owl.", "GPL-2.0")
    assert one.picture.size == (100, 200)


def test_svg_and_bitmaps_open():
    out = io.BytesIO()
    drawing((1, 2, 3)).save(out, "PNG")
    assert open_picture(out.getvalue(), svg=False).mode == "RGBA"
    pytest.importorskip("resvg_py")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="20"><rect width="10" height="20"/></svg>'
    assert open_picture(svg, svg=True, size=50).size == (50, 100)
