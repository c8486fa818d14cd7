"""Invented documents: what a form asks for can be read off them, and nothing of what is held out stands on them."""

import random
import re

from mini.data.documents.layouts import LAYOUTS
from mini.data.documents.values import FIELDS, is_held_out
from mini.natural import invented_documents
from mini.natural.invented_documents import held_out_words, invent_document, order_of


def documents(count: int = 400):
    rng = random.Random(3)
    return [invent_document(rng) for _ in range(count)]


def test_the_words_of_held_out_layouts_are_not_printed():
    assert held_out_words() == {"RECEIPT", "Amount", "Paid on", "Tax", "Net"}
    words = re.compile(rf"({'|'.join(held_out_words())})\b")
    assert not [text for one in documents() for text, _ in one.texts if words.match(text)]


def test_fields_never_stand_in_the_order_of_a_held_out_layout():
    held_out = {order_of(layout) for layout in LAYOUTS if layout.held_out}
    assert ("seat", "from", "to", "date") in held_out
    for one in documents():
        own = [name for name in one.values if one.kind in FIELDS and name in {f.name for f in FIELDS[one.kind]}]
        assert tuple(own) not in held_out


def test_no_value_is_held_out():
    shown = [(name, value) for one in documents() if one.kind in FIELDS for name, value in one.values.items()]
    known = {field.name for fields in FIELDS.values() for field in fields}
    assert len(shown) > 500 and not [pair for pair in shown if pair[0] in known and is_held_out(*pair)]


def test_a_perfect_reader_reads_every_value(monkeypatch):
    for name in ("_UNSPACED", "_SPLIT", "_TAKEN"):
        monkeypatch.setattr(invented_documents, name, 0.0)
    for one in documents():
        assert all(any(value in text for text, _ in one.texts) for value in one.values.values())
        assert all(0 <= left < right <= 1 and 0 <= top < bottom <= 1.01 for _, (left, top, right, bottom) in one.texts)


def test_the_simulated_reader_errs_about_as_often_as_the_real_one():
    found = [any(value in text for text, _ in one.texts) for one in documents(1500) for value in one.values.values()]
    assert 0.9 < sum(found) / len(found) < 0.99
