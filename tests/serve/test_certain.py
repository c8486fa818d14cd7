"""Streamed text only grows, and adds up to the answer, whatever is written first and however characters are cut."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida.api import Model
from lavida.decode.loop import Step
from lavida.decode.request import Request, make_request, turns_of
from lavida.serve.certain import CertainText
from tests.tiny import tiny_model

TEXTS = st.text(alphabet=st.sampled_from("ab .\n猫ñ🐈é\u0301"), max_size=12)


@cache
def model() -> Model:
    return tiny_model()


def request_of(length: int, **options: Any) -> Request:
    options = {"length": length, **options}
    return make_request(model().reader, turns_of(None, "What?"), options)


def step_of(canvas: list[int], index: int) -> Step:
    ids = torch.tensor(canvas)
    return Step(index=index, forwards=index + 1, canvas=ids, committed=ids[:0], confidence=torch.ones(len(ids)))


def written(ids: list[int], order: list[int]) -> list[Step]:
    """The steps in which these ids appear in this order."""
    canvas, steps = [model().tokenizer.mask_id] * len(ids), []
    for index, place in enumerate(order):
        canvas[place] = ids[place]
        steps.append(step_of(canvas, index))
    return steps


@settings(deadline=None)
@given(text=TEXTS, noise=st.lists(st.integers(16, 319), max_size=6), data=st.data())
def test_it_grows_to_the_answer(text: str, noise: list[int], data: st.DataObject) -> None:
    tokenizer = model().tokenizer
    ids = tokenizer.encode(text) + noise  # noise: bytes that are no characters
    ids += [tokenizer.eos_id] * data.draw(st.integers(0, 3))
    if not ids:
        return
    stop = data.draw(st.lists(st.text(alphabet="ab .\ufffd", min_size=1, max_size=3), max_size=2))
    request = request_of(len(ids))
    certain = CertainText(request, stop)
    steps = written(ids, data.draw(st.permutations(range(len(ids)))))
    seen = [certain.text(step) for step in steps]
    whole = request.text(steps[-1])
    cut = min((whole.find(one) for one in stop if one in whole), default=len(whole))
    assert seen[-1] == whole[:cut]
    assert all(later.startswith(earlier) for earlier, later in zip(seen, seen[1:]))
    assert [certain.stops(step) for step in steps] == sorted(certain.stops(step) for step in steps)


def test_a_stop_within_the_beginning_of_another_waits_for_it() -> None:
    tokenizer = model().tokenizer
    for text, cut in ((".aa", ""), (".ab", ".")):
        ids = tokenizer.encode(text)
        certain = CertainText(request_of(len(ids)), ["a", ".aa"])
        seen = [certain.text(step) for step in written(ids, list(range(len(ids))))]
        assert seen[-1] == cut and all(b.startswith(a) for a, b in zip(seen, seen[1:]))


def test_a_position_counts_when_all_before_it_are_committed() -> None:
    tokenizer = model().tokenizer
    ids = tokenizer.encode("a cat and a dog")
    certain = CertainText(request_of(len(ids)))
    backwards = [certain.text(step) for step in written(ids, list(reversed(range(len(ids)))))]
    assert backwards == [""] * (len(ids) - 1) + ["a cat and a dog"]
    forwards = [certain.text(step) for step in written(ids, list(range(len(ids))))]
    assert forwards[-2] and forwards[-2] != forwards[-1] and forwards[-1] == "a cat and a dog"


def test_what_may_be_revised_is_held_back() -> None:
    ids = model().tokenizer.encode("a cat and a dog")
    certain = CertainText(request_of(len(ids), revise=0.5))
    texts = [certain.text(step) for step in written(ids, list(range(len(ids))))]
    assert texts == [""] * (len(ids) - 1) + ["a cat and a dog"]


def test_a_stop_of_tokens_is_held_back_until_it_is_none() -> None:
    tokenizer = model().tokenizer
    a, b = tokenizer.encode_on("a")[0], tokenizer.encode_on("b")[0]
    certain = CertainText(request_of(4, stops=[[a, b]], early_stop=False))
    assert [certain.text(step) for step in written([b, a, a, b], [0, 1, 2, 3])] == ["b", "b", "ba", "ba"]


@pytest.mark.parametrize("stop", ["ab", "ba"])
def test_the_beginning_of_a_stop_is_held_back(stop: str) -> None:
    ids = [model().tokenizer.encode_on(letter)[0] for letter in "bbaa"]
    certain = CertainText(request_of(4), [stop])
    texts = [certain.text(step) for step in written(ids, [0, 1, 2, 3])]
    assert texts == (["b", "bb", "bb", "bbaa"] if stop == "ab" else ["", "b", "b", "b"])
