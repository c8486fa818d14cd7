"""CIDEr-D by hand and against the reference package, exact match."""

import math

import pytest

from lavida.eval.metrics import Cider, auc, mean
from lavida.text.words import exact, words

REFERENCES = [
    ["a cat and a dog", "a dog and a cat", "there are a cat and a dog"],
    ["two pigs", "a picture of two pigs", "two pigs in a picture"],
    ["a red car on the left of a big old tree", "a car and a tree"],
]


def test_words_drop_punctuation():
    assert words("Two cats, and a dog's bowl.") == ["two", "cats", "and", "a", "dog's", "bowl"]


def test_exact_ignores_case_and_stop():
    assert exact("A cat.", "a cat") and not exact("a cat", "cat")


def test_cider_of_a_perfect_caption_is_ten():
    references = [["one two three four five"], ["six seven eight nine ten"]]
    assert Cider(references).score([r[0] for r in references]) == pytest.approx([10, 10])


def test_cider_by_hand():
    # Unigrams only can match: "b" is in both documents (weight 0), "a" in one (log 2).
    scores = Cider([["a b"], ["b c"]]).score(["a", "c"])
    penalty = math.exp(-1 / 72)
    assert scores == pytest.approx([10 * penalty / 4] * 2)


def test_cider_punishes_repetition_and_strangers():
    good, repeated, other = (
        Cider(REFERENCES).score([c, "x", "y"])[0]
        for c in (
            "a cat and a dog",
            "cat cat cat cat dog dog",
            "two pigs",
        )
    )
    assert good > repeated > other == 0


def test_cider_equals_the_reference_package():
    scorer = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    captions = ["a cat and a dog", "pigs in the picture two", "a car left of a tree and a tree"]
    truth = {i: [" ".join(words(r)) for r in refs] for i, refs in enumerate(REFERENCES)}
    mean, scores = scorer.compute_score(truth, {i: [" ".join(words(c))] for i, c in enumerate(captions)})
    ours = Cider(REFERENCES)
    assert ours.score(captions) == pytest.approx(list(scores), abs=1e-9)
    assert ours.mean(captions) == pytest.approx(mean)


def test_chinese_is_compared_by_character():
    assert words("两只猫和T恤。") == ["两", "只", "猫", "和", "t", "恤"]
    assert exact("左上角。", "左上角") and not exact("左上角", "右上角")


def test_auc():
    assert auc([0, 1], [2, 3]) == 1 and auc([2.0], [1.0]) == 0
    assert auc([1.0], [1.0]) == 0.5 and auc([0, 5], [1, 2]) == 0.5
    assert math.isnan(auc([], [1.0]))
    assert auc([0.5], [1.0, 0.5]) == 0.75


def test_mean_leaves_out_nan():
    assert mean([1.0, math.nan, 3.0]) == 2 and math.isnan(mean([]))
