from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lavida
from lavida.decode.confidence import (
    ConfidenceCurve,
    answer_log_probability,
    calibration_error,
    fit_confidence,
    load_confidence,
)
from lavida.decode.loop import Step
from lavida.errors import CheckpointError

CURVE = ConfidenceCurve(slope=0.8, offset=0.5, questions=100, error=0.07)


def step(ids: list[int], sure: list[float]) -> Step:
    return Step(
        index=0, forwards=1, canvas=torch.tensor(ids), committed=torch.tensor([0]), confidence=torch.tensor(sure)
    )


def test_tokens_count_up_to_the_end() -> None:
    found = answer_log_probability(step([5, 6, 2, 2], [0.5, 0.25, 0.8, 0.01]), (2,))
    assert found == pytest.approx(math.log(0.5 * 0.25 * 0.8))
    assert answer_log_probability(step([5, 6], [0.5, 0.0]), (2,)) == pytest.approx(math.log(0.5) + math.log(1e-6))


def test_the_curve_is_the_likeliest() -> None:
    torch.manual_seed(0)
    x = -torch.rand(4000, dtype=torch.float64) * 4
    right = torch.rand(4000) < torch.sigmoid(1.5 * x + 1)
    slope, offset = fit_confidence(x.tolist(), right.tolist())
    assert slope == pytest.approx(1.5, abs=0.2) and offset == pytest.approx(1, abs=0.2)
    sure = [ConfidenceCurve(slope=slope, offset=offset, questions=1, error=0)(value) for value in x.tolist()]
    assert calibration_error(sure, right.tolist()) < 0.03


def test_a_curve_never_falls_and_stays_finite() -> None:
    slope, offset = fit_confidence([-4, -3, -1, -0.5], [True, True, False, False])
    assert slope >= 0 and math.isfinite(offset)
    slope, offset = fit_confidence([-4, -3, -1, -0.5], [False, False, True, True])
    assert 0 < slope < 100


def test_calibration_error_by_hand() -> None:
    # .95, .95 right and wrong: gap .45 of 2; .15 wrong: gap .15 of 1
    assert calibration_error([0.95, 0.95, 0.15], [True, False, False]) == pytest.approx((0.9 + 0.15) / 3)
    assert calibration_error([1.0, 0.0], [True, False]) == 0


def test_a_curve_is_written_and_read(tmp_path: Path) -> None:
    assert load_confidence(tmp_path) is None
    CURVE.save(tmp_path)
    assert load_confidence(tmp_path) == CURVE
    assert CURVE(0) == pytest.approx(1 / (1 + math.exp(-0.5))) and CURVE(-1e9) < 1e-9


@pytest.mark.parametrize("text", ["{", "[]", '{"slope": 1}', '{"slope": -1, "offset": 0, "questions": 1, "error": 0}'])
def test_a_damaged_curve_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "confidence.json").write_text(text)
    with pytest.raises(CheckpointError, match="confidence.json"):
        load_confidence(tmp_path)


def test_an_answer_tells_it_where_it_was_measured() -> None:
    model = lavida.load()
    photo = Path(lavida.__file__).parent / "assets" / "demo.jpg"
    model.reader.curve = None
    assert model.ask(photo, "What is this?").confidence is None
    model.reader.curve = CURVE
    sure = model.ask(photo, "What is this?").confidence
    assert sure is not None and 0 < sure < 1
    model.reader.curve = replace(CURVE, slope=0.0)
    assert model.ask(photo, "What is this?").confidence == pytest.approx(CURVE(0))
    for options in ({"remasking": "margin"}, {"temperature": 0.5}, {"choices": ["a cat", "a dog"]}):
        assert model.ask(photo, "What is this?", **options).confidence is None
