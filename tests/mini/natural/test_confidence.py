from __future__ import annotations

import random

import pytest

from mini.natural.confidence import Graded, fitted, judged_by_others, reliability


def answers(n: int = 2000) -> list[Graded]:
    rng = random.Random(1)
    found = []
    for i in range(n):
        x = -3 * rng.random()
        found.append(Graded(x, rng.random() < 2.718 ** (x * 0.7), i % 2))
    return found


def test_each_half_is_judged_by_the_curve_of_the_other() -> None:
    graded = answers()
    curve = fitted(graded)
    assert curve.questions == 2000 and curve.slope > 0.5 and curve.error < 0.08
    flipped = [Graded(g.log_probability, not g.right if g.half else g.right, g.half) for g in graded]
    assert fitted(flipped).error > curve.error + 0.1
    assert len(judged_by_others(graded)) == 2000


def test_the_table_counts_every_answer() -> None:
    lines = reliability([(0.05, False), (0.95, True), (1.0, True), (0.5, False)]).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [c[1] for c in cells] == ["1", "1", "2"] and cells[-1][0] == "0.8 to 1.0"
    assert float(cells[-1][3]) == pytest.approx(1.0) and float(cells[0][3]) == 0
