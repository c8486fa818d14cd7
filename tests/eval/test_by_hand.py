"""Metrics for which a case worked by hand is the witness, and values of expressions."""

from __future__ import annotations

import math

import pytest

from lavida.decode.confidence import calibration_error
from lavida.eval.choice import any_letter, drawn_letter, leading_letter
from lavida.eval.cost import cost_figures, latency_figures, percentile, reliability
from lavida.eval.expression import value_of
from lavida.eval.intervals import interval, paired_interval
from lavida.eval.maths import mathverse_match, mathvista_match, read_mathvista, same_value
from lavida.eval.yesno import mme_scores, pope_figures


def test_mme_adds_questions_and_pictures() -> None:
    # Two pictures of one category: one all right, one half: (100 + 50) / 2 + (100 + 0) / 2.
    answers = [("count", "a", True), ("count", "a", True), ("count", "b", True), ("count", "b", False)]
    scores = mme_scores([*answers, ("code_reasoning", "c", False), ("code_reasoning", "c", False)])
    assert scores == {"perception": 125.0, "cognition": 0.0, "count": 125.0, "code_reasoning": 0.0}


def test_pope_counts_yes_as_positive_and_other_words_as_wrong() -> None:
    found = pope_figures([("yes", "yes"), ("yes", "no"), ("no", "yes"), ("maybe", "no"), ("no", "no")])
    assert found == pytest.approx({"accuracy": 0.4, "precision": 0.5, "recall": 0.5, "f1": 0.5, "yes": 0.4})
    assert pope_figures([("no", "no")])["f1"] == 0


def test_calibration_error_by_hand() -> None:
    # (0.9, right), (0.9, wrong) lie in one bin: |0.5 - 0.9| * 2/3; (0.3, wrong) in another: |0 - 0.3| * 1/3.
    assert calibration_error([0.9, 0.9, 0.3], [True, False, False]) == pytest.approx((2 * 0.4 + 0.3) / 3)
    assert [part.count for part in reliability([0.9, 0.9, 0.3, 0.0, 1.0], [True] * 5)] == [1, 1, 3]


def test_cost_is_by_sums() -> None:
    # 4 tokens in 2 passes and 8 in 4: 12 / 6, not the mean of ratios weighed alike.
    assert cost_figures([2, 4], [8, 4]) == {"nfe": 3, "tokens": 6, "tokens_per_forward": 2}
    assert latency_figures([1.0, 2.0, 3.0, 4.0, 10.0]) == pytest.approx({"mean": 4, "median": 3, "p95": 8.8})
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-3.5", -3.5), (".5", 0.5), ("1/2", 0.5), ("\\frac{1}{2}", 0.5), ("3\\frac{1}{2}", 1.5), ("2^3", 8),
        ("2\\sqrt{3}", 2 * math.sqrt(3)), ("\\sqrt[3]{27}", 3), ("2\\pi", 2 * math.pi), ("(1+2)*3", 9), ("2(3)", 6),
        ("-2^2", -4), ("2^-1", 0.5), ("6\\div 3", 2), ("2\\times3\\cdot4", 24), ("1-2-3", -4),
    ],
)  # fmt: skip
def test_values_of_expressions(text: str, value: float) -> None:
    assert value_of(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1/0", "2^", "(1", "1)", "\\frac{1}", "9^9^9", "(" * 2000, "__import__('os')", "(-1)^{0.5}", "10^999999"],
)
def test_what_is_no_expression_has_no_value(text: str) -> None:
    assert value_of(text) is None


def test_equal_values() -> None:
    assert same_value("(1/2, 3)", "(0.5,3)") and same_value("0.333", "1/3") and same_value("A", "a")
    assert not same_value("", "") and not same_value("(1,2)", "(2,1)") and not same_value("1", "2")


def test_mathvista_is_read_by_rules() -> None:
    options = ["3/11", "8/11"]
    for answer in ("B", "(B) 8/11", "The answer is B.", "8/11", 'The answer is "8/11".', "8/11 "):
        assert mathvista_match(answer, "8/11", question="multi_choice", kind="text", options=options, precision=None)
    free = {"question": "free_form", "options": ()}
    assert mathvista_match("There are 1,204 in all.", "1204", kind="integer", precision=None, **free)
    assert mathvista_match("Of 3 men, the answer is 2, not 5", "2", kind="integer", precision=None, **free)
    assert mathvista_match("it is 0.6", "0.6", kind="float", precision=1.0, **free)
    assert not mathvista_match("none", "0", kind="integer", precision=None, **free)
    assert read_mathvista("between [2007, 2008].", kind="list", **free) == "[2007, 2008]"


def test_mathverse_is_read_by_rules() -> None:
    assert mathverse_match("The answer is C", "C", ["1", "2", "3"]) and not mathverse_match("B", "C", ["1", "2", "3"])
    assert mathverse_match("Answer: 2\\sqrt3", "2\\sqrt{3}") and mathverse_match("14.", "14")
    assert not mathverse_match("15", "14")


def test_letters() -> None:
    options = ["a cat", "a dog"]
    wanted = {"B": "B", "b": "B", "B. a dog": "B", "(B)": "B", "the answer is B": "B", "a dog.": "B", "a fox": None}
    assert {text: any_letter(text, options) for text in wanted} == wanted
    assert leading_letter(" B. dog") == "B" and leading_letter("B dog") == "B dog"
    assert drawn_letter(4, "x") == drawn_letter(4, "x") and len({drawn_letter(4, str(n)) for n in range(50)}) == 4


def test_intervals_are_those_of_the_normal_approximation_for_many_questions() -> None:
    values = [0.0, 1.0] * 200
    low, high = interval(values)
    assert (low + high) / 2 == pytest.approx(0.5, abs=0.01) and (high - low) / 2 == pytest.approx(1.96 / 40, abs=0.006)
    assert interval(values) == (low, high) and interval([0.3] * 5) == pytest.approx((0.3, 0.3))
    # Two models that err on the same questions differ surely, however uncertain each figure is.
    better = [min(1.0, value + 0.1) for value in values]
    low, high = paired_interval(better, values)
    assert 0.04 < low < 0.05 < high < 0.06
