"""Comparisons and verdicts: the written rule, case by case, and results as JSON."""

import json

import pytest

from benchmarks.report import Report, Row
from mini.claims.result import RULE, Check, Result, Table, check, mean_of, paired, seed_means, verdict


def made(low: float, high: float, seeds: tuple[float, ...] = (), *, bound: float = 0.0, reached: bool = False) -> Check:
    middle = (low + high) / 2
    return Check(name="x", paper="-", mean=middle, low=low, high=high, seeds=seeds or (middle,), n=9, bound=bound,
                 reached=reached)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "outcome"),
    [
        (made(0.1, 0.3), "yes"),
        (made(-0.3, -0.1), "no"),
        (made(-0.1, 0.3), "open"),
        (made(0.1, 0.3, (0.5, -0.1)), "open"),  # one seed points the other way
        (made(-0.3, -0.1, (-0.5, 0.1)), "open"),
        (made(0.0, 0.0), "open"),  # exactly equal is neither better nor worse
        (made(0.0, 0.0, reached=True), "yes"),
        (made(-0.04, 0.01, bound=-0.05, reached=True), "yes"),
        (made(-0.09, -0.06, bound=-0.05, reached=True), "no"),
        (made(1.2, 1.4, bound=1.0), "yes"),
        (made(0.7, 0.9, bound=1.0), "no"),
        (made(1.0, 1.0, bound=1.0, reached=True), "yes"),
    ],
)
def test_a_comparison_is_yes_no_or_open(one: Check, outcome: str) -> None:
    assert one.outcome == outcome


YES, NO, OPEN = made(0.1, 0.3), made(-0.3, -0.1), made(-0.1, 0.1)


@pytest.mark.parametrize(
    ("checks", "found"),
    [
        ([YES, YES], "holds"),
        ([YES, NO], "holds in part"),
        ([YES, OPEN], "holds in part"),
        ([NO, NO], "does not hold here"),
        ([NO, OPEN], "does not hold here"),
        ([OPEN, OPEN], "cannot be told here"),
    ],
)
def test_a_verdict_follows_from_the_comparisons(checks: list[Check], found: str) -> None:
    assert verdict(checks) == found and f"*{found}*" in RULE


def test_differences_are_of_the_same_question_and_pooled_over_seeds() -> None:
    ours, theirs = [[1.0, 0.5], [1.0, 1.0, 1.0]], [[0.0, 0.5], [0.0, 0.0, 1.0]]
    assert paired(ours, theirs) == [[1.0, 0.0], [1.0, 1.0, 0.0]]
    one = check("better", paired(ours, theirs), paper="+1")
    assert (one.mean, one.n, one.seeds) == (pytest.approx(0.6), 5, (0.5, pytest.approx(2 / 3)))
    assert 0 <= one.low < 0.6 < one.high <= 1 and one == check("better", paired(ours, theirs), paper="+1")
    assert mean_of(ours) == pytest.approx(0.9) and seed_means(ours) == (0.75, 1.0)
    with pytest.raises(ValueError, match="zip"):
        paired([[1.0]], [[1.0, 2.0]])


def test_a_result_survives_json_and_its_verdict_is_computed_anew() -> None:
    chart = Report(name="C1", title="t", x="x", y="y", rows=(Row(series="a", x=1, values=(1.0,)),))
    result = Result(
        claim="C1", measured="m", checks=(YES, NO), tables=(Table(head=("a", "b"), rows=(("c", 1.5),)),),
        charts=(chart,), notes=("n",), setting={"seeds": 3}, environment={"commit": "abc"}, seconds=2.0,
    )  # fmt: skip
    data = json.loads(json.dumps(result.to_json()))
    assert data["verdict"] == "holds in part" and [one["outcome"] for one in data["checks"]] == ["yes", "no"]
    data["verdict"], data["checks"][0]["outcome"] = "holds", "no"  # what is written there is not believed
    assert Result.from_json(data) == result
