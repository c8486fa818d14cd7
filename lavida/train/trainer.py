"""The training loop: stages in order, a log line every few steps, a checkpoint that any moment can be resumed from.

It knows a `Task` (train/task.py) and nothing of models or data. One process or, under torchrun, several.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict

from lavida.errors import ConfigError, TrainingError
from lavida.train.distributed import gather_objects, rank, sum_all, world
from lavida.train.log import Display, Log, Meter
from lavida.train.optim import Optimizers
from lavida.train.settings import Settings
from lavida.train.speed import count_flops, matmul_peak
from lavida.train.state import Checkpoints
from lavida.train.task import BUCKETS, Micro, Outcome, Plan, Task

# A loss beyond this, over the mean of the last steps, is no noise: a uniform guess among 100,000 tokens costs 11.5.
EXPLODED_FACTOR, EXPLODED_OVER, MEMORY = 3.0, 10.0, 0.98
_OWN = ("stage", "step", "samples", "usual", "flops")  # the state of the loop itself in a checkpoint


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Set how often the loop logs, evaluates and saves."""

    log: int = 10  # steps between two lines
    evaluate: int = 0  # steps between two evaluations of the held-out samples; 0 = at the end of each stage only
    save: float = 120.0  # seconds between two checkpoints; 0 = after each step

    def __post_init__(self) -> None:
        if self.log < 1 or self.evaluate < 0 or self.save < 0:
            raise ConfigError("log must be at least 1 step, evaluate and save at least 0")


class Trainer:
    """Train a task, with all the state that a resumed run needs to go on as if it had never stopped.

    Args:
        task: The network, its stages and its data.
        out: The folder of the run.
        habits: How often to log, evaluate and save.
        device: The device of the task.
        dtype: The type of most products, for the share of the machine's peak.
        facts: Further fields of the log's first line, such as recipe and data.
        fixed: Options by name that cannot change when the run is resumed.
        changeable: Options by name that can; changes are logged.
        say: Takes each line of the display where there is no terminal.
    """

    def __init__(
        self,
        task: Task,
        out: Path,
        *,
        habits: Habits | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        facts: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        changeable: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.task, self.out, self.device, self.dtype = task, out, torch.device(device), dtype
        self.habits = habits or Habits()
        first = rank() == 0
        self.log, self.display = Log(out, silent=not first), Display(say, silent=not first)
        self.checkpoints, self.meter = Checkpoints(out / "state"), Meter()
        self.settings = Settings(plans=tuple(task.plans), fixed=fixed or {}, changeable=changeable or {})
        self.stage, self.step, self.samples = 0, 0, 0.0
        self._facts = dict(facts or {})
        self.usual: float | None = None  # running mean of the loss
        self._optimizers: Optimizers | None = None
        self._peak = 0.0
        self.flops: float | None = None  # of a sample of the present stage

    @property
    def total(self) -> int:
        """The steps done since the run began, over all stages."""
        return sum(plan.steps for plan in self.task.plans[: self.stage]) + self.step

    @property
    def finished(self) -> bool:
        """Return whether all stages are done."""
        return self.stage == len(self.task.plans)

    def run(self, *, minutes: float = math.inf) -> bool:
        """Train until the last stage ends (True) or the minutes are over (False); a checkpoint is left in any case.

        Raises:
            TrainingError: A loss is no number or explodes; the last good checkpoint is on disk.
        """
        end = time.monotonic() + 60 * minutes
        if self.checkpoints.latest() is None:
            self.settings.write(self.out)
            self.save()
        self.log.write(
            "start", self.total, **self._facts,
            stages=[plan.name for plan in self.task.plans], steps=sum(plan.steps for plan in self.task.plans),
            device=str(self.device), dtype=str(self.dtype).removeprefix("torch."), processes=world(),
            threads=torch.get_num_threads(), torch=torch.__version__,
        )  # fmt: skip
        done = True
        try:
            with self.display:
                while done and not self.finished:
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
            last = self.step == plan.steps
            if last or self.total % self.habits.log == 0:
                self._log_step(plan, rates, (self.samples - seen) / (time.monotonic() - began))
                began, seen = time.monotonic(), self.samples
            if last or (self.habits.evaluate and self.step % self.habits.evaluate == 0):
                self._evaluate()
                began, seen = time.monotonic(), self.samples
            now = time.monotonic()
            # All processes do what the first one finds due.
            late, due = self._sum(*(flag and rank() == 0 for flag in (now > end, now - saved >= self.habits.save)))
            if not last and (late or due):
                self.save()
                saved = time.monotonic()
                if late:
                    return False
        self.stage, self.step = self.stage + 1, 0
        if not self.finished:
            self._optimizers = None
        self.save()  # with the momenta if the run is finished, so that it can be lengthened
        self._optimizers = None
        return True

    def _update(self, plan: Plan, optimizers: Optimizers) -> dict[str, float]:
        """Make one step of the optimizer and return its rates."""
        # 1. the micro-batches, and the weight of each
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
            _learn(outcome.loss * (share * world()))
            outcomes.append((share, outcome))
        figures, buckets = self._gather(outcomes)
        # 3. nothing is learned from a broken loss
        figures["gradient"] = optimizers.clip()
        self._check(figures, micros, plan)
        # 4. the step itself
        rates = optimizers.schedule(self.step)
        optimizers.step()
        self.samples += samples
        self.meter.add(figures, buckets)
        return rates

    def _measure(self, micro: Micro, optimizers: Optimizers) -> None:
        """Count the operations of a sample, once in each stage."""
        self.flops = count_flops(lambda: _learn(self.task.loss(micro.data).loss)) / max(1, micro.samples)
        optimizers.clear()

    def _gather(self, outcomes: list[tuple[float, Outcome]]) -> tuple[dict[str, float], torch.Tensor]:
        """Return the figures of the whole update, the loss first, and its buckets."""
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
        names = [name for part in gather_objects([list(m.names) for m in micros]) for names in part for name in names]
        what = f"the {broken[0]} is {figures[broken[0]]}" if broken else f"the loss rose from {usual:.2f} to {loss:.2f}"
        self.log.write("stop", self.total, reason="broken", **figures, names=names)
        shown = ", ".join(names[:8]) or "no names"
        shown += f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise TrainingError(
            f"{what} at step {self.step} of stage {plan.name}, in the batch of {shown}; "
            f"the checkpoint of step {self.checkpoints.latest()} in {self.out} is good: lower the rates or leave the "
            "samples out"
        )

    def _log_step(self, plan: Plan, rates: dict[str, float], pace: float) -> None:
        """Write a line with the means since the last one."""
        self._peak = self._peak or matmul_peak(self.device, self.dtype)
        share = pace * (self.flops or 0.0) / (self._peak * world())
        means = self.meter.means()
        self.log.write(
            "step", self.total, stage=plan.name, **means,
            lr={name: float(f"{rate:.6g}") for name, rate in rates.items()},
            samples=round(self.samples), samples_per_s=round(pace, 3), matmul_share=round(share, 4),
            buckets=self.meter.bucket_means(),
        )  # fmt: skip
        for name, reason in (pair for part in gather_objects(self.task.skipped()) for pair in part):
            self.log.write("skipped", self.total, name=name, reason=reason)
            self.display.note(f"left out {name}: {reason}")
        self.display.step(plan, self.step, means, pace, share)
        self.meter.clear()

    def _evaluate(self) -> None:
        """Log the held-out figures; the random numbers of the training are left alone."""
        self.task.module.eval()
        with torch.random.fork_rng(range(torch.cuda.device_count())):
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

        Raises:
            DataError: All checkpoints are damaged.
            ConfigError: An option differs from that of the run and cannot change.
        """
        if self.checkpoints.latest() is None:
            return False
        kept = Settings.read(self.out)
        before = kept or self.settings
        self.settings.check(before, self.out)
        self._take(self.checkpoints.load(lambda plain: self._state_for(plain, before)))
        self.log.cut(self.total)
        if kept is None:
            self.display.note(f"{self.out} has no settings.json; what has changed since it was begun is not known")
        for line in self.checkpoints.damaged:
            self.display.note(f"a checkpoint is damaged and was not used: {line}")
        for name, old, new in self.settings.changes(before):
            self.log.write("changed", self.total, name=name, before=old, now=new)
            self.display.note(f"{name} is now {new}; it was {old}")
        self.settings.write(self.out)
        return True

    def _state_for(self, plain: Mapping[str, Any], before: Settings) -> dict[str, Any]:
        """Return a state into which the tensors of a checkpoint can be read, at its place in the run."""
        stage, step = int(plain["trainer"]["stage"]), int(plain["trainer"]["step"])
        if stage == len(before.plans):  # a finished run that is lengthened goes on in its last stage
            stage, step = stage - 1, self.checkpoints.reading - sum(plan.steps for plan in before.plans[:-1])
        self.settings.check_place(before, stage, step, self.out)
        self.stage, self.step = (stage, step) if step < self.task.plans[stage].steps else (stage + 1, 0)
        self._optimizers = None
        if not self.finished and (self.step or plain["optimizers"]):  # a stage at its beginning has no momenta yet
            groups = self.task.begin(self.stage, fresh=False)
            self._optimizers = Optimizers(groups, self.task.plans[self.stage])
        return self._state()

    def _state(self) -> dict[str, Any]:
        module, cuda = self.task.module, self.device.type == "cuda"
        kept = self._optimizers if self.step or self.finished else None
        return {
            "model": get_model_state_dict(module),
            "optimizers": kept.state_dict(module) if kept is not None else {},
            "task": self.task.state_dict(),
            "meter": self.meter.state_dict(),
            "own": {"cpu": torch.get_rng_state()} | ({"cuda": torch.cuda.get_rng_state()} if cuda else {}),
            "trainer": {name: getattr(self, name) for name in _OWN},
        }

    def _take(self, state: dict[str, Any]) -> None:
        module = self.task.module
        set_model_state_dict(module, state["model"])
        if self._optimizers is not None and state["optimizers"]:
            self._optimizers.load_state_dict(module, state["optimizers"])
        self.task.load_state_dict(state["task"])
        self.meter.load_state_dict(state["meter"])
        torch.set_rng_state(state["own"]["cpu"])
        if "cuda" in state["own"] and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["own"]["cuda"])
        for name in _OWN[2:]:  # the place in the run is set already
            setattr(self, name, state["trainer"][name])

    def _sum(self, *values: float) -> list[float]:
        return sum_all(values, self.device)


def _learn(loss: torch.Tensor) -> None:
    """Run the backward pass, unless nothing that learns takes part: a projector where no picture is shown."""
    if loss.requires_grad:
        loss.backward()
