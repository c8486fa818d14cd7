"""Calibration of a tiny model, and answers by its table."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import lavida
from lavida import calibrate as module
from lavida.calibrate import Exam, ExamAnswer, Options, calibrate, likeness_exam, measure_quality, settings
from lavida.cli.main import main
from lavida.decode.calibration import FILE, Calibration, Quality, find_calibration, fingerprint, store_calibration
from lavida.errors import RequestError
from tests.pictures import gradient
from tests.tiny import tiny_model


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "ROUNDS", 2)
    monkeypatch.setattr(module, "SHARES", (1, 1 / 2))
    monkeypatch.setattr(module, "RULES", ({"threshold": 0.5}, {"unheard_of": 1}))
    monkeypatch.setattr(module, "ADAPTIVE_SHARES", (1,))


@pytest.fixture()
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_folder, tmp_path / "model")


def test_every_setting_can_be_asked_for() -> None:
    shared, full = (settings(tiny_model(shared_image=shared), 8) for shared in (True, False))
    assert shared[0] == {"steps": 8, "cache": "prefix"}
    assert shared == [{"steps": 8, "cache": "prefix"}, {"steps": 4, "cache": "prefix"},
                      {"threshold": 0.5, "steps": 8, "cache": "prefix"}]  # fmt: skip
    assert {one["cache"] for one in full} == {"none", "block", "dual"}  # a prompt that sees the answer


def test_quality_and_cost_are_those_of_the_answers() -> None:
    asked: list[Options] = []

    def answers(options: Options) -> Iterator[ExamAnswer]:
        asked.append(options)
        yield ExamAnswer(text="a", passes=options["steps"], tokens=3)
        yield ExamAnswer(text="b", passes=1, tokens=5)

    exam = Exam(measure="words", answers=answers, judge=lambda texts: len(set(texts)) / asked[-1]["steps"])
    quality = measure_quality(tiny_model(), exam, 8, log=lambda _: None)
    assert [(t.quality, t.passes, t.tokens) for t in quality.tried] == [(0.25, 4.5, 4), (0.5, 2.5, 4), (0.25, 4.5, 4)]
    assert all(options["length"] == 8 for options in asked) and quality.measure == "words"


def test_likeness_is_one_for_the_same_answers_and_less_for_others() -> None:
    model = tiny_model()
    exam = likeness_exam(model, [gradient()], "What is this?", 8)
    whole = [one.text for one in exam.answers({"length": 8})]
    assert exam.judge(whole) == 1.0 and exam.judge(["something else entirely"]) < 0.5


def test_a_model_that_was_calibrated_answers_by_its_table(
    folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["ask", str(photo), "What?", "--model", str(folder), "--length", "8"]
    assert main([*ask, "--quality", "fast"]) == 2
    assert "no calibration table" in capsys.readouterr().err
    assert (
        main(["calibrate", str(photo), "--model", str(folder), "--length", "8", "--out", str(folder / "q.json")]) == 0
    )
    *_, high, balanced, fast, path = capsys.readouterr().out.splitlines()
    assert path == str(folder / FILE)
    for name, line in {"high": high, "balanced": balanced, "fast": fast}.items():
        assert re.match(
            rf"{name}: .*steps \d.*, length 8, expected_seconds [\d.e-]+, quality [01]\.\d+, measure l", line
        )
    assert main([*ask, "--quality", "high", "--json", "--time"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    chosen = record["chosen"]
    assert "chosen: " in err and chosen["length"] == 8 and chosen["quality"] == 1.0 and chosen["expected_seconds"] > 0
    assert record["steps"] <= chosen["steps"]
    kept = Calibration.from_json((folder / "q.json").read_text())
    assert kept.quality == find_calibration(folder).quality and kept.speeds == ()
    model = lavida.load(folder)
    answer = model.ask(photo, "What?", length=8, deadline=60)
    assert model.ask(photo, "What?", **answer.chosen.options).ids == answer.ids
    assert model.ask(photo, "What?", length=8).chosen is None
    with pytest.raises(RequestError, match="in 0.001 ms here"):
        model.ask(photo, "What?", deadline="0.001ms")


def test_a_table_that_came_with_the_model_is_timed_and_not_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lavida.load(folder)
    row = measure_quality(model, _exam(), 8, log=lambda _: None).tried[0]
    quality = Quality(measure="known", length=8, tried=(row,))
    store_calibration(Calibration(model=fingerprint(folder), quality=quality), folder)
    monkeypatch.setattr(module, "measure_quality", lambda *_: pytest.fail("tried again"))
    table = calibrate(model, log=lambda _: None)
    (speed,) = table.speeds
    assert table.quality == quality and min(speed.words, speed.picture) >= 0
    assert set(speed.passes) == {"prefix"} and sum(speed.passes["prefix"]) > 0
    monkeypatch.setattr(module, "measure_quality", lambda *_: replace(quality, measure="new"))
    assert calibrate(model, again=True, log=lambda _: None).quality.measure == "new"


def _exam() -> Exam:
    return Exam(measure="x", answers=lambda _: [ExamAnswer(text="", passes=1, tokens=1)], judge=lambda _: 1.0)


def test_what_has_nothing_to_choose_is_not_calibrated() -> None:
    model = tiny_model()
    with pytest.raises(RequestError, match="folder"):
        calibrate(model)
    denoiser = replace(model.net.config.denoiser, autoregressive=True, logit_shift=True)
    model.net.config = replace(model.net.config, denoiser=denoiser)
    with pytest.raises(RequestError, match="nothing to choose"):
        settings(model, 8)
