"""Rules fill forms from texts: by a field's label, by its pattern, each value once."""

from mini.data.documents.values import schema_of
from mini.eval.document_rules import fill_by_rules


def test_the_value_beside_a_label_is_taken_before_others():
    texts = ["Blue Market", "2026-03-14", "Coffee", "3.10", "Total", "12.50"]
    found = {"shop": "Blue Market", "date": "2026-03-14", "total": "12.50"}
    assert fill_by_rules(schema_of("receipt"), texts) == found


def test_values_behind_words_of_their_own_text_and_units_without_a_space():
    ticket = fill_by_rules(schema_of("ticket"), ["Riga", "to Oslo", "2026-03-14 Seat 12C", "Seat 12C"])
    assert ticket["to"] == "Oslo" and ticket["seat"] == "12C" and ticket["from"] == "Riga"
    assert fill_by_rules(schema_of("label"), ["Fresh Tea", "450g"])["weight"] == "450 g"


def test_what_is_not_there_is_none():
    assert fill_by_rules(schema_of("label"), []) == {"product": None, "weight": None, "price": None}
