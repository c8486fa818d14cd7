"""Runs that are stopped and resumed under changing options: the uninterrupted run, or one of our errors."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lavida.errors import LavidaError
from lavida.train.task import Plan
from lavida.train.trainer import Trainer
from tests.train.test_resume import damage
from tests.train.test_trainer import Line, losses, trainer_of

PLANS = (Plan(name="one", steps=3, schedule="constant"), Plan(name="two", steps=4, warmup=1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, float]]:
    """Return the losses of the uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    trainer_of(out, task=Line(PLANS)).run()
    return losses(out)


def sequence(rng: random.Random, out: Path, whole: list[tuple[int, float]]) -> None:
    """Run to the end over random stops, damage and changes; without changes the losses are those of one run."""
    plans, altered = PLANS, False
    for _ in range(12):
        kind = rng.choice(("stop", "stop", "damage", "steps", "rate", "fixed", "settings"))
        options, tried = {"--x": 1}, plans
        state = sorted((out / "state").glob("step-*"), key=lambda p: int(p.name[5:]))
        if kind == "damage" and len(state) > 1:
            damage(state[-1], rng.choice(("cut", "flipped")))
        elif kind == "steps":
            tried = (*plans[:-1], replace(plans[-1], steps=rng.randint(1, 6)))
        elif kind == "rate":
            tried = tuple(replace(plan, clip=rng.choice((0.5, 1.0))) for plan in plans)
        elif kind == "fixed":
            options = {"--x": 2}
        elif kind == "settings" and (out / "settings.json").exists() and rng.random() < 0.3:
            (out / "settings.json").write_text(rng.choice(("", "{}", "[]", '{"stages": [{}]}')))
        trainer = Trainer(Line(tried), out, fixed=options, habits=trainer_of(out).habits, say=lambda line: None)
        try:
            resumed = trainer.resume()
            altered |= tried != PLANS
            plans = tried
            done = trainer.run(minutes=0 if rng.random() < 0.8 else 1e9)
        except LavidaError as error:
            assert "\n" not in str(error)
            (out / "settings.json").unlink(missing_ok=True) if "settings.json" in str(error) else None
            continue
        assert resumed or trainer.total > 0
        if done and not altered:
            assert losses(out) == whole
    shutil.rmtree(out)


@pytest.mark.parametrize("number", range(3))
def test_sequences_of_stops_and_changes(number: int, whole: list[tuple[int, float]], tmp_path: Path) -> None:
    sequence(random.Random(number), tmp_path / "run", whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(100, 140))
def test_forty_sequences(number: int, whole: list[tuple[int, float]], tmp_path: Path) -> None:
    sequence(random.Random(number), tmp_path / "run", whole)
