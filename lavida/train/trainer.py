"""The training loop: stages in order, a log line every few steps, a checkpoint that any moment can be resumed from.

It knows a `Task` (train/task.py) and nothing of models or data. One process or, under torchrun, several.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from lavida.errors import ConfigError, TrainingError
from lavida.train import processes
from lavida.train.display import Display
from lavida.train.log import Log, Meter, Watcher
from lavida.train.optim import Optimizers
from lavida.train.speed import count_flops, matmul_peak
from lavida.train.state import Checkpoints
from lavida.train.task import BUCKETS, Micro, Outcome, Plan, Task

PLANS = "plans.json"
# A loss beyond this, over the mean of the last steps, is no noise: a uniform guess among 100,000 tokens costs 11.5.
EXPLODED_FACTOR, EXPLODED_OVER, MEMORY = 3.0, 10.0, 0.98
_AT = ("stage", "step", "samples", "usual", "flops")  # what a checkpoint holds of the loop itself


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How often the loop does what is not training."""

    log: int = 10  # steps between two lines
    evaluate: int = 0  # steps between two looks at what is held out; 0 = at the end of each stage only
    save: float = 120.0  # seconds between two checkpoints; 0 = after each step

    def __post_init__(self) -> None:
        if self.log < 1 or self.evaluate < 0 or self.save < 0:
            raise ConfigError("log must be at least 1 step, evaluate and save at least 0")


class Trainer:
    """A task in training with all that a resumed run needs to go on as if it had never stopped."""

    def __init__(
        self,
        task: Task,
        out: Path,
        *,
        habits: Habits | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        watchers: Sequence[Watcher] = (),
        facts: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        """`facts`: what else the log's first line is to say of the run, such as its recipe and data."""
        out.mkdir(parents=True, exist_ok=True)
        self.task, self.out, self.device, self.dtype = task, out, torch.device(device), dtype
        self.habits = habits or Habits()
        first = processes.rank() == 0
        self.log, self.display = Log(out, watchers, silent=not first), Display(say, silent=not first)
        self.checkpoints, self.meter = Checkpoints(out / "state"), Meter()
        self.stage, self.step, self.samples = 0, 0, 0.0
        self._told = dict(facts or {})
        self.usual: float | None = None  # what the loss has been lately
        self._optimizers: Optimizers | None = None
        self._peak = 0.0
        self.flops: float | None = None  # of a sample of the present stage

    @property
    def total(self) -> int:
        """Steps done since the run began, over all stages."""
        return sum(plan.steps for plan in self.task.plans[: self.stage]) + self.step

    def run(self, *, minutes: float = math.inf) -> bool:
        """Train until the last stage ends (True) or the minutes are over (False); a checkpoint is left in any case.

        Raises TrainingError, with the last good checkpoint on disk, once a loss is no number or explodes.
        """
        end = time.monotonic() + 60 * minutes
        self._check_plans()
        if self.checkpoints.latest() is None:
            self.save()
        self.log.write("start", self.total, **self._facts())
        done = True
        try:
            with self.display:
                while done and self.stage < len(self.task.plans):
                    done = self._run_stage(self.task.plans[self.stage], end)
        finally:
            self.checkpoints.wait()
        self.log.write("stop", self.total, reason="done" if done else "time", samples=round(self.samples))
        return done

    def _run_stage(self, plan: Plan, end: float) -> bool:
        if self._optimizers is None:
            self._optimizers = Optimizers(self.task.begin(self.stage, fresh=True), plan)
            self.flops = None
        self.task.module.train()
        self.display.begin(plan, self.step)
        began, saved, seen = time.monotonic(), time.monotonic(), self.samples
        while self.step < plan.steps:
            rates = self._update(plan, self._optimizers)
            self.step += 1
            if self.total % self.habits.log == 0 or self.step == plan.steps:
                self._tell(plan, rates, (self.samples - seen) / (time.monotonic() - began))
                began, seen = time.monotonic(), self.samples
            if self.step == plan.steps or (self.habits.evaluate and self.step % self.habits.evaluate == 0):
                self._evaluate()
                began, seen = time.monotonic(), self.samples
            now = time.monotonic()
            late, due = (n > 0 for n in self._of_first(now > end, now - saved >= self.habits.save))
            if self.step < plan.steps and (late or due):
                self.save()
                saved = time.monotonic()
            if late and self.step < plan.steps:
                return False
        self.stage, self.step, self._optimizers = self.stage + 1, 0, None
        self.save()
        return True

    def _update(self, plan: Plan, optimizers: Optimizers) -> dict[str, float]:
        """One step of the optimizer; the rates it was made with."""
        # 1. what is learned from, and what each part of it counts for
        micros = [self.task.batch(self.step) for _ in range(plan.accumulate)]
        weight, samples = self._sum(sum(m.weight for m in micros), sum(m.samples for m in micros))
        if self.flops is None:
            self._measure(micros[0], optimizers)
        # 2. forward and backward, one micro-batch at a time; processes average their gradients
        optimizers.clear()
        outcomes = []
        for micro in micros:
            outcome = self.task.loss(micro.data)
            share = micro.weight / weight if weight else 0.0
            (outcome.loss * (share * processes.world())).backward()
            outcomes.append((share, outcome))
        figures, buckets = self._gather(outcomes)
        # 3. nothing is learned from a broken loss
        figures["gradient"] = optimizers.clip()
        self._check(figures, micros, plan)
        # 4. the step itself
        rates = optimizers.schedule(self.step)
        optimizers.step()
        self.samples += samples
        self.meter.add(figures, samples, buckets)
        return rates

    def _measure(self, micro: Micro, optimizers: Optimizers) -> None:
        """Count the operations of a sample, once in each stage."""
        self.flops = count_flops(lambda: self.task.loss(micro.data).loss.backward()) / max(1, micro.samples)
        optimizers.clear()

    def _gather(self, outcomes: list[tuple[float, Outcome]]) -> tuple[dict[str, float], torch.Tensor]:
        """Figures of the whole update, the loss first, and its buckets."""
        figures: dict[str, float] = {"loss": 0.0}
        buckets = torch.zeros(2, BUCKETS, dtype=torch.float64)
        for share, outcome in outcomes:
            for name, value in {"loss": float(outcome.loss.detach()), **outcome.figures}.items():
                figures[name] = figures.get(name, 0.0) + share * value
            if outcome.buckets is not None:
                buckets += outcome.buckets.to(buckets)
        summed = self._sum(*figures.values(), *buckets.flatten().tolist())
        n = len(figures)
        return dict(zip(figures, summed[:n])), torch.tensor(summed[n:], dtype=torch.float64).view_as(buckets)

    def _check(self, figures: dict[str, float], micros: list[Micro], plan: Plan) -> None:
        loss, usual = figures["loss"], self.usual
        broken = [name for name in ("loss", "gradient") if not math.isfinite(figures[name])]
        if not broken and (usual is None or loss <= EXPLODED_FACTOR * usual + EXPLODED_OVER):
            self.usual = loss if usual is None else MEMORY * usual + (1 - MEMORY) * loss
            return
        self.checkpoints.wait()
        names = [name for part in processes.gathered([n for m in micros for n in m.names]) for name in part]
        told = f"the {broken[0]} is {figures[broken[0]]}" if broken else f"the loss rose from {usual:.2f} to {loss:.2f}"
        self.log.write("stop", self.total, reason="broken", **figures, names=names)
        shown = (
            f"{', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}" if names else "no names"
        )
        raise TrainingError(
            f"{told} at step {self.step} of stage {plan.name}, in the batch of {shown}; the checkpoint of step "
            f"{self.checkpoints.latest()} in {self.out} is good: lower the rates or leave the samples out"
        )

    def _tell(self, plan: Plan, rates: dict[str, float], pace: float) -> None:
        """A log line: the means since the last one."""
        self._peak = self._peak or matmul_peak(self.device, self.dtype)
        share = pace * (self.flops or 0.0) / (self._peak * processes.world())
        means = self.meter.means()
        self.log.write(
            "step",
            self.total,
            stage=plan.name,
            **means,
            lr={name: float(f"{rate:.6g}") for name, rate in rates.items()},
            samples=round(self.samples),
            samples_per_s=round(pace, 3),
            matmul_share=round(share, 4),
            buckets=self.meter.bucket_means(),
        )
        self._tell_skipped()
        self.display.step(self.step, means, pace, share)
        self.meter.clear()

    def _tell_skipped(self) -> None:
        for part in processes.gathered(self.task.skipped()):
            for name, reason in part:
                self.log.write("skipped", self.total, name=name, reason=reason)
                self.display.note(f"left out {name}: {reason}")

    def _evaluate(self) -> None:
        """Held-out figures; what is drawn for them leaves the training's random numbers alone."""
        self.task.module.eval()
        with torch.random.fork_rng(list(range(torch.cuda.device_count()))):
            figures = self.task.evaluate()
        self.task.module.train()
        if figures:
            self.log.write("eval", self.total, **figures)
            self.display.evaluated(figures)

    def save(self) -> None:
        """Write a checkpoint; the loop goes on while it is written."""
        self.checkpoints.save(self.total, self._state())

    def resume(self) -> bool:
        """Go on from the newest checkpoint in the run's folder, if there is one.

        Raises DataError if all are broken, ConfigError if the run was begun with other stages.
        """
        newest = self.checkpoints.latest()
        if newest is None:
            return False
        self._check_plans()
        self.stage, self.step = self._place(newest)
        if self.step:  # a stage at its very beginning has no optimizer yet
            groups = self.task.begin(self.stage, fresh=False)
            self._optimizers = Optimizers(groups, self.task.plans[self.stage])
        self._take(self.checkpoints.load(self._state()))
        self.log.cut(self.total)
        return True

    def _place(self, total: int) -> tuple[int, int]:
        for stage, plan in enumerate(self.task.plans):
            if total < plan.steps:
                return stage, total
            total -= plan.steps
        return len(self.task.plans), 0

    def _state(self) -> dict[str, Any]:
        module, cuda = self.task.module, self.device.type == "cuda"
        optimizers = self._optimizers.all if self._optimizers and self.step else []
        return {
            "model": get_model_state_dict(module),
            "optimizers": get_optimizer_state_dict(module, optimizers) if optimizers else {},
            "task": self.task.state_dict(),
            "meter": self.meter.state_dict(),
            "own": {"cpu": torch.get_rng_state()} | ({"cuda": torch.cuda.get_rng_state()} if cuda else {}),
            "trainer": {name: getattr(self, name) for name in _AT},
        }

    def _take(self, state: dict[str, Any]) -> None:
        module = self.task.module
        set_model_state_dict(module, state["model"])
        if self._optimizers is not None:
            some = StateDictOptions(strict=False)  # a parameter without a gradient so far has no state
            set_optimizer_state_dict(module, self._optimizers.all, optim_state_dict=state["optimizers"], options=some)
        self.task.load_state_dict(state["task"])
        self.meter.load_state_dict(state["meter"])
        torch.set_rng_state(state["own"]["cpu"])
        if "cuda" in state["own"]:
            torch.cuda.set_rng_state(state["own"]["cuda"])
        for name in _AT:
            setattr(self, name, state["trainer"][name])

    def _sum(self, *values: float) -> list[float]:
        return processes.total(values, self.device)

    def _of_first(self, *flags: bool) -> list[float]:
        """What the first process says, so that all do the same."""
        return self._sum(*(float(flag and processes.rank() == 0) for flag in flags))

    def _check_plans(self) -> None:
        """The stages of a run do not change under it, but for how batches are divided; the first process looks."""
        if processes.rank() != 0:
            return
        path = self.out / PLANS
        now = json.loads(json.dumps([asdict(replace(plan, accumulate=1)) for plan in self.task.plans]))
        if not path.exists():
            path.write_text(json.dumps(now, indent=1) + "\n")
        elif (then := json.loads(path.read_text())) != now:
            changed = next((a["name"] for a, b in zip(then, now) if a != b), "their number")
            raise ConfigError(f"{self.out} was begun with other stages ({changed}); give the same, or another folder")

    def _facts(self) -> dict[str, Any]:
        return self._told | {
            "stages": [plan.name for plan in self.task.plans],
            "steps": sum(plan.steps for plan in self.task.plans),
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "processes": processes.world(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
