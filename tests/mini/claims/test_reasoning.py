"""C7: its comparisons on made-up answers, and that a tiny model is asked in every way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from lavida.api import Model
from lavida.errors import LavidaError
from mini.claims import reasoning
from mini.claims.reasoning import BLOCKS, CHAIN, DIRECT, OPTIONS, SHIPPED, Said, Trial
from mini.claims.result import Result
from mini.data.reasoning import KINDS, WEIGHTS, Reasoned, balanced
from mini.data.worlds import SceneSampler
from tests.mini.eval.fakes import tiny_model

TRIAL = Trial(scenes=2, steps=1, rows=1, questions=4)
SPENT = {"direct": 6.0, "reason": 9.0}


def asked(seed: int) -> list[Reasoned]:
    world, rng = SceneSampler.symbolic(), random.Random(seed)
    return [one for _, one in balanced((world.scene(rng, WEIGHTS) for _ in range(2000)), 4, rng)]


def said(texts: list[str], passes: float = 2.0) -> Said:
    return Said(texts=texts, passes=passes, seconds=0.1)


def report(chains: list[list[str]], questions: list[list[Reasoned]]) -> Result:
    silent = [said(["" for _ in own]) for own in questions]
    direct = [
        said([one.answer for one in own[: len(own) // 2]] + [""] * (len(own) - len(own) // 2)) for own in questions
    ]
    arms = {SHIPPED: silent, DIRECT: direct, CHAIN: [said(own, 6.0) for own in chains], BLOCKS: silent}
    return reasoning.report(questions, {arm: arms[arm] for arm in OPTIONS}, SPENT, TRIAL)


def test_c7_holds_if_chains_answer_better_than_answers_alone_and_than_a_guess() -> None:
    questions = [asked(0), asked(1)]
    result = report([[one.chain for one in own] for own in questions], questions)
    assert result.verdict == "holds" and [one.mean for one in result.checks] == [
        pytest.approx(0.5), pytest.approx(1 - (5 * 0.5 + 0.25) / 6)
    ]  # fmt: skip
    assert result.checks[0].n == sum(map(len, questions)) == 48
    arms = {row[0]: row for row in result.tables[0].rows}
    assert arms[CHAIN][1] == 1 and arms[CHAIN][-3:] == (6.0, pytest.approx(0.1), 9.0)
    assert arms[DIRECT][-1] == 6.0 and arms[SHIPPED][-1] == "-"
    assert [row[0] for row in result.tables[1].rows] == list(KINDS)
    assert sum(row[1] for row in result.tables[1].rows) == 48 and all(row[-1] == 1 for row in result.tables[1].rows)
    assert [row[:2] for row in result.tables[2].rows] == [("right", 48), ("wrong", 0)]
    assert Result.from_json(result.to_json()) == result


def test_c7_does_not_hold_for_chains_that_end_wrongly() -> None:
    questions = [asked(0), asked(1)]
    wrong = [[f"{one.evidence}. {one.comparison}." for one in own] for own in questions]
    chains = [[f"{text} answer: maybe" for text in own] for own in wrong]
    result = report(chains, questions)
    assert [one.outcome for one in result.checks] == ["no", "no"] and result.verdict == "does not hold here"
    assert result.tables[2].rows[0] == ("right", 48, 0.0)  # right evidence, wrong answers


def test_c7_asks_in_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_model()
    monkeypatch.setattr(reasoning, "load", lambda folder, threads: Model(tiny.net, tiny.tokenizer, name="tiny"))
    questions = [(0, one) for one in asked(0)[:2]]
    found = reasoning.answers(Path("model"), {0: Image.new("RGB", (64, 64))}, questions, (CHAIN, BLOCKS))
    assert list(found) == [CHAIN, BLOCKS] and all(len(own["texts"]) == 2 for own in found.values())
    assert found[BLOCKS]["passes"] >= 3 and Said(**found[CHAIN]).seconds > 0  # a pass for each block at least


def test_c7_needs_a_model_that_is_told_evidence(tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(LavidaError, match="told evidence"):
        reasoning.seen_scenes(None, tiny_folder, tmp_path / "scenes.pt", 1)
