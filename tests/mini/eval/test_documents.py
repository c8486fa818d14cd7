import math
from pathlib import Path

import pytest
from PIL import Image

from lavida.eval.metrics import without_nan
from lavida.evidence.reader import Text
from mini.data.documents.build import DocumentEntry
from mini.eval.documents import ReadDocument, as_object, as_table, figures, read_by_rules

ENTRY = DocumentEntry(image=Path("a.jpg"), kind="label", values={"weight": "250 g", "price": "3.20"})


def read(weight, price, sure):
    return ReadDocument(entry=ENTRY, value={"weight": weight, "price": price}, confidence=sure)


def test_fields_are_right_to_the_letter():
    rows = figures(
        [
            read("250 g", "3.20", {"weight": 0.9, "price": 0.7}),
            read("250 g", "3.2", {"weight": 0.6, "price": 0.65}),
            ReadDocument(entry=ENTRY, value=None, confidence={}),
        ]
    )
    assert rows["field"] == pytest.approx(3 / 6) and rows["whole"] == pytest.approx(1 / 3)
    assert rows["objects"] == pytest.approx(2 / 3)
    assert rows["fields"] == pytest.approx({"label.price": 1 / 3, "label.weight": 2 / 3})
    assert rows["sure_if_right"] == pytest.approx((0.9 + 0.7 + 0.6) / 3) and rows["sure_if_wrong"] == 0.65
    assert rows["auc"] == pytest.approx(2 / 3)
    line = as_table({"rows": [{"model": "model", "method": "schema", "split": "fonts", **rows}]}).splitlines()[-1]
    assert line == "| model | schema | fonts | 0.67 | 0.50 | 0.33 | 0.73 | 0.65 | 0.67 |"


def test_a_free_answer_has_no_confidence():
    rows = figures([ReadDocument(entry=ENTRY, value=None, confidence={})])
    assert math.isnan(rows["auc"]) and rows["field"] == 0
    assert "| - | - | - |" in as_table({"rows": [{"model": "m", "method": "free", "split": "seen", **rows}]})


def test_rules_and_the_bound_read_the_same_texts(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    entry = DocumentEntry(image=tmp_path / "a.png", kind="label", values={"product": "Fresh Tea", "weight": "250 g"})

    def reader(picture):
        edges = {"left": 0.1, "right": 0.9, "top": 0.1, "bottom": 0.2}
        return [Text(text=text, score=1.0, **edges) for text in ("Fresh Tea", "250g")]

    found = read_by_rules(reader, [entry])
    assert found["rules"][0].right() == {"product": True, "weight": True}  # a unit without its space is mended
    assert found["bound"][0].right() == {"product": True, "weight": False}  # and cannot be copied


def test_what_is_an_object():
    assert as_object('{"a": 1}') == {"a": 1}
    assert as_object("[1]") is None and as_object("{") is None and as_object("[" * 99999) is None


def test_figures_that_are_none_are_null_in_json():
    rows = without_nan({"rows": [figures([ReadDocument(entry=ENTRY, value=None, confidence={})])]})
    assert rows["rows"][0]["auc"] is None and rows["rows"][0]["field"] == 0
