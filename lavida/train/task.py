"""The interface between the training loop and a task: a network, stages, batches with a state, the loss of a batch.

Finetuning (`train/finetune.py`) is a task, and so is lavida-mini's packed curriculum (`mini/train/task.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from lavida.errors import ConfigError

BUCKETS = 10  # of masking probability, for the loss by timestep


def official_cosine(step: int, plan: Plan) -> float:
    """Warm up linearly, then follow half a cosine down to the floor: `cosine_with_min_lr` of the published scripts."""
    if step < plan.warmup:
        return step / plan.warmup
    turn = math.pi * min(1.0, (step - plan.warmup) / max(1, plan.steps - plan.warmup))
    return plan.floor + (1 - plan.floor) * 0.5 * (1 + math.cos(turn))


def cut_cosine(step: int, plan: Plan) -> float:
    """Follow a cosine over the whole stage, cut off at the floor, times a linear warm-up, as lavida-mini does."""
    ramp = min(1.0, (step + 1) / max(1, plan.warmup))
    return ramp * max(plan.floor, 0.5 * (1 + math.cos(math.pi * min(1.0, step / plan.steps))))


SCHEDULES = {"cosine": official_cosine, "cut cosine": cut_cosine, "constant": lambda step, plan: 1.0}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one stage is optimised: its length, its schedule, AdamW."""

    name: str
    steps: int  # updates of the weights
    accumulate: int = 1  # micro-batches of one update, on each process
    schedule: str = "cosine"  # one of SCHEDULES
    warmup: int = 0  # steps
    floor: float = 0.0  # share of the rate that is left at the end
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 1.0  # largest norm of the gradient

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("accumulate", 1), ("warmup", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"stage {self.name}: {name} must be at least {least}, got {getattr(self, name)}")
        if self.schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise ConfigError(f"stage {self.name}: unknown schedule {self.schedule!r}; choose one of {known}")
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"stage {self.name}: floor must lie between 0 and 1, got {self.floor}")

    def share(self, step: int) -> float:
        """Return the factor of the rates at a step, counted from 0."""
        return SCHEDULES[self.schedule](step, self)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parameters that learn at one rate; `muon` takes matrices of hidden layers only."""

    name: str
    parameters: Sequence[nn.Parameter]
    rate: float
    muon: bool = False


@dataclass(frozen=True, kw_only=True)
class Micro:
    """Hold a micro-batch on its device."""

    data: Any  # the task's own
    weight: float  # of its mean loss in the update, so that the sum does not depend on how a batch is divided
    samples: int
    names: Sequence[str] = ()  # "source:index" of each sample


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Hold the loss of a micro-batch and the figures that are logged of it."""

    loss: Tensor  # a mean, to be differentiated
    figures: Mapping[str, float] = field(default_factory=dict)  # of the same names in every process
    buckets: Tensor | None = None  # [2, BUCKETS]: sum and number of token losses by masking probability


class Task(Protocol):
    """Describe a training run. All randomness comes from its seed, its state or PyTorch's global generator."""

    @property
    def module(self) -> nn.Module:
        """All that is trained and saved; losses go through its `forward`."""

    @property
    def plans(self) -> Sequence[Plan]:
        """The stages."""

    def begin(self, stage: int, *, fresh: bool) -> list[Group]:
        """Freeze and thaw parameters for a stage; `fresh` unless it is resumed in its middle."""

    def batch(self, step: int) -> Micro:
        """Return the next micro-batch of the stage's step, counted from 0, and move the state of the data on."""

    def loss(self, data: Any) -> Outcome:
        """Run the forward pass of `Micro.data`."""

    def evaluate(self) -> dict[str, Any]:
        """Return held-out figures and captions, as they go into the log; empty if nothing is held out."""

    def skipped(self) -> list[tuple[str, str]]:
        """Return (name, reason) of the samples that were left out since the last call."""

    def state_dict(self) -> dict[str, Any]:
        """Return the plain values and tensors that `load_state_dict` needs to draw the same batches again."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
