from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida.decode.prompt import Prompt
from lavida.edit.infill import Infill, InfillOptions, infill_ids
from lavida.errors import RequestError
from lavida.text.chat import TEMPLATES
from lavida.text.holes import read_holes
from tests.edit.oracle import oracle
from tests.edit.prompts import random_prompt

OWLS = {"two owls and a cat.": 6.0, "two owls and a dog.": 3.0, "a cat and an owl.": 2.0, "two red owls.": 1.0}


def _infill(prompt: Prompt, text: str, **options: object) -> Infill:
    chosen = InfillOptions(**options)
    return infill_ids(prompt, read_holes(text, prompt.tokenizer, most=chosen.most), chosen)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("[M:1] owls and a cat.", "two owls and a cat."),
        ("two [M].", "two owls and a cat."),  # the likelier of two endings
        ("[M] and an owl.", "a cat and an owl."),  # what stands behind decides
        ("two [M] owls.", "two red owls."),
        ("[M] owls and [M:2].", "two owls and a cat."),  # several holes in one canvas
        ("[M].", "two owls and a cat."),
        ("two [M:0-2] owls.", "two red owls."),
        ("two [M:0-2] owls and a dog.", "two owls and a dog."),  # a hole may stay empty
    ],
)
def test_the_likeliest_text_around_what_is_given_is_found(text: str, filled: str) -> None:
    assert _infill(oracle(OWLS), text).text == filled


def test_a_hole_tells_its_length_its_score_and_what_else_it_could_hold() -> None:
    found = _infill(oracle(OWLS), "two owls and [M].")
    (hole,) = found.holes
    assert (hole.text, hole.tokens) == ("a cat", 2) and hole.alternatives[0].text == "a dog"
    assert hole.probability == pytest.approx(6 / 9, abs=0.06)  # an estimate
    assert hole.alternatives[0].probability == pytest.approx(3 / 9, abs=0.06)
    assert hole.score == pytest.approx(-0.405, abs=0.02)  # log of 6 / 9


def test_a_hole_of_known_length_has_alternatives_too() -> None:
    (hole,) = _infill(oracle(OWLS), "two owls and a [M:1].", alternatives=2).holes
    assert hole.text == "cat" and hole.alternatives[0].text == "dog" and len(hole.alternatives) == 2


def test_a_better_text_found_among_alternatives_is_taken() -> None:
    # Greedily "two" comes first (4 + 3 of 11), but the likeliest whole text begins with "three".
    prompt = oracle({"two owls.": 3.0, "two cats.": 3.0, "three dogs.": 5.0})
    assert _infill(prompt, "[M:2].", alternatives=0).text != "three dogs."
    assert _infill(prompt, "[M:2].").text == "three dogs."


def test_many_holes_are_searched_one_after_the_other() -> None:
    found = _infill(oracle(OWLS), "[M] owls [M] a [M].", alternatives=0)
    assert found.text == "two owls and a cat." and found.tried < 6**3


def test_a_model_that_was_taught_gaps_says_how_much_of_a_hole_it_needs() -> None:
    prompt = oracle({"two owls[S][S][FIM] and a cat.": 3.0, "two red cats[FIM] and a cat.": 1.0}, gaps=True)
    found = _infill(prompt, "two [M:3] and a cat.", how="fim", alternatives=0)
    assert found.text == "two owls and a cat." and found.holes[0].tokens == 1


def test_options_out_of_range_and_models_without_gaps_are_refused() -> None:
    with pytest.raises(RequestError, match="unknown how 'guess'; choose one of search, fim"):
        InfillOptions(how="guess")
    with pytest.raises(RequestError, match="most must be 1 to 64, got 0"):
        InfillOptions(most=0)
    prompt = replace(oracle(OWLS), template=TEMPLATES["plain"])
    with pytest.raises(RequestError, match="no tokens for gaps"):
        _infill(prompt, "two [M:3].", how="fim")


_PIECES = st.sampled_from(["a", "one red", " cat", ", a dog", ".", " on the left", ""])
_HOLES = st.sampled_from(["[M]", " [M:1]", " [M:0-2]", " [M:2-3]", "[M:2]"])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    pieces=st.lists(st.tuples(_PIECES, _HOLES), min_size=1, max_size=2), end=_PIECES, steps=st.sampled_from([1, None])
)
def test_any_model_keeps_what_is_given_and_to_the_lengths(
    pieces: list[tuple[str, str]], end: str, steps: int | None
) -> None:
    template = "".join(piece + hole for piece, hole in pieces) + end
    options = InfillOptions(most=2, alternatives=1, decode={} if steps is None else {"steps": steps})
    prompt = random_prompt()
    holed = read_holes(template, prompt.tokenizer, most=options.most)
    found = infill_ids(prompt, holed, options)
    assert found.text == holed.filled([hole.text for hole in found.holes])
    for hole, asked in zip(found.holes, holed.holes, strict=True):
        assert asked.least <= hole.tokens <= asked.most and 0 < hole.probability <= 1
        assert hole.score <= 0 and all(one.text != hole.text for one in hole.alternatives)
