"""Ways to find the length of a hole: what is counted, and that every gap is filled by each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from lavida.api import Model
from lavida.errors import RequestError
from mini.eval.infill import Gap, draw_gaps, missing_tokens
from mini.eval.lengths import METHODS, Filled, counted, evaluate_lengths, figures, word_f1
from tests.mini.eval.fakes import tiny_features, tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    tiny = tiny_model()
    return Model(tiny.net, tiny.tokenizer, name="tiny")


def gap_of(span: str, after: str = " and a dog.") -> Gap:
    return Gap(picture=0, question="Describe the image.", before="a ", span=span, after=after)


def test_words_in_common() -> None:
    assert word_f1("a red cat", "a red cat") == 1 and word_f1("dog", "a cat") == 0
    assert word_f1("a cat", "a red cat") == pytest.approx(0.8)
    assert word_f1("cat cat", "cat") == pytest.approx(2 / 3) and word_f1("", "cat") == 0 and word_f1("", "") == 1


def test_figures_are_means_over_gaps() -> None:
    good = Filled(text="red cat", tokens=2, passes=4, canvases=8, seconds=0.5)
    bad = replace(good, text="owl", tokens=1, passes=2)
    found = figures([(gap_of("red cat"), 2, good), (gap_of("red cat"), 2, bad)])
    assert found == {
        "n": 2, "exact": 0.5, "f1": 0.5, "length": 0.5, "passes": 3, "canvases": 8, "seconds": 0.5
    }  # fmt: skip
    assert figures([]) == {"n": 0}


def test_every_gap_is_filled_by_each_way(model: Model) -> None:
    gaps = draw_gaps([record.scene for record in tiny_features(2).records], 2, 0)
    pictures = [Image.new("RGB", (64, 64), (90, 80, 70 + i)) for i in range(2)]
    result = evaluate_lengths(model, pictures, gaps, log=lambda line: None)
    assert list(result["methods"]) == list(METHODS) and result["n"] == 2
    assert result["methods"]["known"]["all"]["length"] == 1
    by_group = result["methods"]["search"]
    assert by_group["before a word"]["n"] + by_group["before a mark"]["n"] == by_group["all"]["n"] == 2
    assert by_group["all"]["canvases"] > result["methods"]["fim"]["all"]["canvases"] > 0
    for row, gap in zip(result["rows"], gaps, strict=True):
        assert row["tokens"] == missing_tokens(model, gap) and all(isinstance(row[method], str) for method in METHODS)


def test_passes_are_counted_with_their_rows_and_no_longer(model: Model) -> None:
    picture = Image.new("RGB", (64, 64))
    with counted(model) as made:
        model.infill(picture, "a [M:2].", alternatives=0)
    before = list(made)
    model.infill(picture, "a [M:3].", alternatives=0)
    assert made == before and len(before) >= 2


def test_a_model_that_writes_left_to_right_is_refused(model: Model) -> None:
    tiny = tiny_model()
    config = tiny.net.config
    tiny.net.config = replace(config, denoiser=replace(config.denoiser, autoregressive=True, logit_shift=True))
    with pytest.raises(RequestError, match="left to right"):
        evaluate_lengths(Model(tiny.net, tiny.tokenizer, name="twin"), [], [])
