import json
import re

import pytest
from PIL import Image, ImageFont

from lavida.data.sources import open_source
from lavida.errors import DataError
from mini.data.documents.build import build_documents, read_entries
from mini.data.documents.draw import SPLITS, draw_document, render
from mini.data.documents.fonts import FONTS, FontLibrary
from mini.data.documents.layouts import LAYOUTS
from mini.data.documents.values import FIELDS, KINDS, is_held_out, schema_of


class OneFont(FontLibrary):
    """Every family is the font that Pillow brings along."""

    def __init__(self):
        self._files = {(name, bold): b"" for name in FONTS for bold in (False, True)}

    def font(self, name, size, *, bold):
        return ImageFont.load_default(size)


CABINET = OneFont()


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_held_out_of_a_split(split):
    held = SPLITS[split]
    for index in range(30):
        document = draw_document(split, index, CABINET)
        assert {is_held_out(f, v) for f, v in document.values.items()} == {held.values}
        assert FONTS[document.font].held_out is held.fonts and document.layout.held_out is held.layouts
        assert document == draw_document(split, index, CABINET)


def test_values_match_their_patterns_and_the_schema_asks_for_all():
    for index in range(60):
        document = draw_document("train", index, CABINET)
        for field in FIELDS[document.kind]:
            assert re.fullmatch(field.pattern, document.values[field.name])
    for kind in KINDS:
        assert schema_of(kind)["required"] == [f.name for f in FIELDS[kind]]


def test_every_layout_prints_every_field_once():
    for layout in LAYOUTS:
        text = " ".join(row.left + row.middle + row.right for row in layout.rows)
        assert all(text.count(f"{{{field.name}}}") == 1 for field in FIELDS[layout.kind])
    assert {(one.kind, one.held_out) for one in LAYOUTS} == {(kind, held) for kind in KINDS for held in (False, True)}


def test_a_document_is_printed_on_paper():
    document = draw_document("train", 0, CABINET)
    picture = render(document, CABINET)
    assert picture.size == (448, 448) and picture.mode == "RGB"
    assert picture.tobytes() == render(document, CABINET).tobytes()
    pixels = picture.convert("L").crop((100, 60, 350, 300))
    dark, pale = (
        sum(pixels.point(test).histogram()[255:]) for test in (lambda v: 255 * (v < 90), lambda v: 255 * (v > 200))
    )
    assert 200 < dark < pale


def test_a_folder_is_read_by_training_and_by_the_evaluation(tmp_path):
    build_documents(tmp_path, CABINET, train=3, held_out=1, log=lambda text: None)
    source = open_source(str(tmp_path / "train.jsonl"))
    assert len(source) == 3 and json.loads(source[0].turns[-1].parts[0].value).keys() == {"shop", "date", "total"}
    entries = read_entries(tmp_path, "layouts")
    assert Image.open(entries[0].image).size == (448, 448) and entries[0].kind == "receipt"
    with pytest.raises(DataError, match="python -m mini build documents"):
        read_entries(tmp_path, "unheard")


def test_a_missing_font_is_told(tmp_path):
    with pytest.raises(DataError, match="DejaVuSans.ttf"):
        FontLibrary({font.package: tmp_path for font in FONTS.values()})
