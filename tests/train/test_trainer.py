"""The training loop on a task of one matrix: resumed to the bit, divided as you like, stopped by a broken loss."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
import torch
from torch import nn

from lavida.errors import ConfigError, TrainingError
from lavida.train.optim import Optimizers
from lavida.train.task import Group, Micro, Outcome, Plan
from lavida.train.trainer import Habits, Trainer


class Line:
    """Fits a line to numbers drawn one by one; `poison` gives values to some of the draws."""

    def __init__(self, plans, *, rows: int = 2, poison: dict[int, float] | None = None) -> None:
        torch.manual_seed(0)
        self.module, self.plans = nn.Linear(3, 1), plans
        self.rng, self.drawn, self.rows, self.poison = random.Random(7), 0, rows, poison or {}
        self.seen: list[float] = []

    def begin(self, stage, *, fresh):
        weight, bias = self.module.weight, self.module.bias
        bias.requires_grad_(stage > 0)
        groups = [Group(name="weight", parameters=[weight], rate=0.05)]
        return groups + ([Group(name="bias", parameters=[bias], rate=0.01)] if stage else [])

    def batch(self, step):
        x = torch.tensor([[self.rng.random() for _ in range(3)] for _ in range(self.rows)])
        names = [f"numbers:{self.drawn + i}" for i in range(self.rows)]
        for i in range(self.rows):
            x[i] += self.poison.get(self.drawn + i, 0.0)
        self.drawn += self.rows
        return Micro(data=x, weight=float(self.rows), samples=self.rows, names=names)

    def loss(self, x):
        y = self.module(x)
        buckets = torch.zeros(2, 10)
        buckets[:, 3] = torch.tensor([2.0, 1.0])
        if self.module.training:
            y = y + 0.01 * torch.randn(())  # PyTorch's own generator must go on too
        loss = ((y[:, 0] - x.sum(1)) ** 2).mean()
        return Outcome(loss=loss, figures={"half": loss.item() / 2}, buckets=buckets)

    def evaluate(self):
        torch.randn(5)
        return {"loss": 0.5, "captions": [{"image": "a.png", "prompt": "?", "truth": "a", "answer": "b"}]}

    def skipped(self):
        return [("numbers:13", "unlucky")] if self.drawn == 8 else []

    def state_dict(self):
        version, numbers, gauss = self.rng.getstate()
        return {"rng": [version, list(numbers), gauss], "drawn": self.drawn}

    def load_state_dict(self, state):
        version, numbers, gauss = state["rng"]
        self.rng.setstate((version, tuple(numbers), gauss))
        self.drawn = state["drawn"]


PLANS = (
    Plan(name="one", steps=4, warmup=1, betas=(0.9, 0.98), weight_decay=0.01),
    Plan(name="two", steps=5, schedule="cut cosine", warmup=2, floor=0.1),
)


def trainer_of(out: Path, *, task: Line | None = None, save: float = 1e9, log: int = 1) -> Trainer:
    return Trainer(task or Line(PLANS), out, habits=Habits(log=log, save=save, evaluate=3), say=lambda line: None)


def events(out: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def losses(out: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in events(out, "step")]


def test_a_run_that_is_stopped_after_every_step_is_the_run_that_never_was(tmp_path):
    trainer_of(tmp_path / "whole").run()
    for _ in range(10):
        parts = trainer_of(tmp_path / "parts")
        parts.resume()
        done = parts.run(minutes=0)
    assert done and losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert [step for step, _ in losses(tmp_path / "whole")] == list(range(1, 10))


def test_a_killed_run_goes_on_from_its_checkpoint_and_its_log_is_cut_back(tmp_path):
    trainer_of(tmp_path / "whole", log=2).run()

    class Killed(BaseException):
        pass

    class Dying(Line):
        def loss(self, x):
            if self.drawn == 12:  # the sixth step
                raise Killed
            return super().loss(x)

    first = trainer_of(tmp_path / "killed", task=Dying(PLANS), save=0, log=2)
    with pytest.raises(Killed):
        first.run()
    first.checkpoints.wait()
    with open(tmp_path / "killed" / "log.jsonl", "a") as file:
        file.write('{"event": "step", "st')
    second = trainer_of(tmp_path / "killed", save=0, log=2)
    assert second.resume() and second.total == 5
    assert second.run() and losses(tmp_path / "killed") == losses(tmp_path / "whole")


def test_accumulated_batches_count_as_one(tmp_path):
    class Quiet(Line):
        def loss(self, x):
            loss = ((self.module(x)[:, 0] - x.sum(1)) ** 2).mean()
            return Outcome(loss=loss)

    one = Quiet([Plan(name="a", steps=6)], rows=4)
    two = Quiet([Plan(name="a", steps=6, accumulate=2)], rows=2)
    for name, task in (("one", one), ("two", two)):
        trainer_of(tmp_path / name, task=task).run()
    for (_, a), (_, b) in zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True):
        assert a == pytest.approx(b, abs=2e-6)
    assert torch.allclose(one.module.weight, two.module.weight, atol=1e-6)


@pytest.mark.parametrize("value, told", [(math.nan, "the loss is nan"), (1e4, "the loss rose from")])
def test_a_broken_loss_stops_with_a_good_checkpoint_and_names_the_batch(tmp_path, value, told):
    task = Line(PLANS, poison={9: value})
    with pytest.raises(TrainingError, match=rf"{told}.* at step 0 of stage two, in the batch of numbers:8, numbers:9"):
        trainer_of(tmp_path, task=task, save=0).run()
    (stop,) = events(tmp_path, "stop")
    assert stop["reason"] == "broken" and stop["names"] == ["numbers:8", "numbers:9"] and stop["step"] == 4
    again = trainer_of(tmp_path)
    assert again.resume() and again.total == 4 and all(p.isfinite().all() for p in again.task.module.parameters())
    assert again.run()


def test_what_is_logged(tmp_path):
    trainer_of(tmp_path, log=2).run()
    first = events(tmp_path, "step")[0]
    assert first["stage"] == "one" and first["step"] == 2 and first["samples"] == 4
    assert first["half"] == pytest.approx(first["loss"] / 2, abs=1e-5) and first["gradient"] > 0
    assert first["buckets"] == [None] * 3 + [2.0] + [None] * 6
    assert first["samples_per_s"] > 0 and first["matmul_share"] >= 0 and set(first["lr"]) == {"weight"}
    assert set(events(tmp_path, "step")[-1]["lr"]) == {"weight", "bias"}
    assert [(line["name"], line["reason"]) for line in events(tmp_path, "skipped")] == [("numbers:13", "unlucky")]
    assert [line["step"] for line in events(tmp_path, "eval")] == [3, 4, 7, 9]
    assert events(tmp_path, "start")[0]["stages"] == ["one", "two"]
    assert events(tmp_path, "stop")[0]["reason"] == "done"


def test_looking_at_what_is_held_out_changes_nothing(tmp_path):
    trainer_of(tmp_path / "looks").run()
    Trainer(Line(PLANS), tmp_path / "not", habits=Habits(log=1, save=1e9), say=lambda line: None).run()
    assert losses(tmp_path / "looks") == losses(tmp_path / "not")


def test_a_run_keeps_to_its_stages(tmp_path):
    trainer_of(tmp_path).run(minutes=0)
    other = trainer_of(tmp_path, task=Line([PLANS[0], Plan(name="three", steps=5)]))
    with pytest.raises(ConfigError, match=r"other stages \(one, two, not one, three\)"):
        other.resume()
    trainer_of(tmp_path).run()  # to the end, over what was begun
    done = trainer_of(tmp_path, task=Line([Plan(name="one", steps=9), PLANS[1]]))
    with pytest.raises(ConfigError, match="stage one of .* is done and cannot change"):
        done.resume()


def test_rates_warm_up_and_fall():
    plan = Plan(name="a", steps=100, warmup=10, floor=0.1)
    assert plan.share(0) == 0 and plan.share(5) == 0.5 and plan.share(10) == 1
    assert plan.share(55) == pytest.approx(0.55) and plan.share(100) == pytest.approx(0.1)
    cut = Plan(name="a", steps=100, schedule="cut cosine", warmup=10, floor=0.1)
    assert cut.share(0) == 0.1 and cut.share(50) == pytest.approx(0.5) and cut.share(99) == 0.1
    group = Group(name="w", parameters=[nn.Parameter(torch.ones(2))], rate=0.5)
    assert Optimizers([group], plan).schedule(5) == {"w": 0.25}


@pytest.mark.parametrize(
    "wrong, told",
    [({"steps": 0}, "steps must be at least 1"), ({"schedule": "x"}, "unknown schedule"), ({"floor": 2}, "floor")],
)
def test_a_plan_is_checked(wrong, told):
    with pytest.raises(ConfigError, match=told):
        Plan(**{"name": "a", "steps": 1, **wrong})


def test_habits_are_checked():
    with pytest.raises(ConfigError, match="log must be at least 1"):
        Habits(log=0)
