from __future__ import annotations

import pytest

from lavida.edit.revise import Change, ReviseOptions, Revision, changes_between, revise_ids
from lavida.errors import RequestError
from tests.edit.oracle import oracle

OWLS = {"two owls and a cat.": 9.0, "two owls and a dog.": 0.5, "two owls and an owl.": 0.01}


def _revise(sentences: dict[str, float], text: str, **options: float) -> Revision:
    prompt = oracle(sentences)
    return revise_ids(prompt, prompt.tokenizer.encode(text), ReviseOptions(**options))


def test_an_unlikely_word_gives_way_to_the_likely_one() -> None:
    found = _revise(OWLS, "two owls and a dog.")
    assert (found.old, found.new) == ("two owls and a dog.", "two owls and a cat.")
    assert found.changes == (Change(start=4, old="dog.", new="cat."),)
    assert found.gain > 1.5


def test_the_word_before_goes_along_where_it_must() -> None:
    found = _revise({"an owl.": 9.0, "a dog.": 0.1, "a cat.": 0.005}, "a cat.")
    assert found.new == "an owl."


@pytest.mark.parametrize("text", ["two owls and a cat.", "two owls and a dog."])
def test_a_text_that_is_likely_enough_stays(text: str) -> None:
    found = _revise(OWLS, text, doubt=4.0)
    assert found.new == found.old == text and found.changes == () and found.gain == 0


def test_a_change_that_gains_too_little_is_not_taken() -> None:
    assert _revise(OWLS, "two owls and a dog.", gain=20.0).changes == ()


def test_several_words_are_mended_one_after_the_other() -> None:
    sentences = {
        f"{number} owls and a {animal}.": p * q
        for number, p in (("two", 0.95), ("three", 0.05))
        for animal, q in (("cat", 0.95), ("dog", 0.05))
    }
    found = _revise(sentences, "three owls and a dog.")
    assert found.new == "two owls and a cat." and len(found.changes) == 2
    assert len(_revise(sentences, "three owls and a dog.", changes=1).changes) == 1


def test_changes_are_told_word_by_word() -> None:
    assert changes_between("a cat on a mat", "a big cat on the mat") == [
        Change(start=1, old="", new="big"),
        Change(start=3, old="a", new="the"),
    ]


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(RequestError, match="doubt must be 0 to 100, got -1"):
        ReviseOptions(doubt=-1)
