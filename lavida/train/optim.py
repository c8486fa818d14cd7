"""Muon for the matrices of hidden layers where a task asks for it, AdamW for the rest, as one optimizer.

Beside AdamW alone, Muon took a third of the questions to the same loss in the one comparison made
(docs/training-log.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.tensor import DTensor

from lavida.train.task import Group, Plan


class Optimizers:
    """Hold both optimizers; the rate of a group is its own times the plan's share at the step."""

    def __init__(self, groups: Sequence[Group], plan: Plan) -> None:
        self.plan = plan
        self.parameters = [p for muon in (True, False) for g in groups if g.muon == muon for p in g.parameters]
        self.all: list[torch.optim.Optimizer] = []
        settings: dict[str, Any] = {"lr": 1.0, "weight_decay": plan.weight_decay}
        plain, matrices = (
            [
                {"params": list(g.parameters), "lr": g.rate, "rate": g.rate, "name": g.name}
                for g in groups
                if g.muon == muon and g.parameters
            ]
            for muon in (False, True)
        )
        if plain:
            self.all.append(torch.optim.AdamW(plain, betas=plan.betas, fused=True, **settings))
        if matrices:
            self.all.append(torch.optim.Muon(matrices, momentum=0.95, adjust_lr_fn="match_rms_adamw", **settings))

    def schedule(self, step: int) -> dict[str, float]:
        """Set the rates of a step, counted from 0, and return them by the groups' names."""
        share, rates = self.plan.share(step), {}
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = rates[group["name"]] = group["rate"] * share
        return rates

    def clear(self) -> None:
        """Drop the gradients."""
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    def clip(self) -> float:
        """Scale the gradient down to the plan's largest norm, and return the norm that it had."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def step(self) -> None:
        """Update the weights."""
        for p in self.parameters:
            if p.grad is None:  # unused by this batch: it follows its momentum
                p.grad = torch.zeros_like(p)
        for optimizer in self.all:
            optimizer.step()

    def state_dict(self, module: nn.Module) -> dict[str, Any]:
        """Return the state of both, by the names of `module`'s parameters."""
        return get_optimizer_state_dict(module, self.all)

    def load_state_dict(self, module: nn.Module, saved: Mapping[str, Any]) -> None:
        """Take the momenta of a saved state; rates and other settings stay those that this object was made with.

        Parameters that did not learn then begin without momentum, and those that no longer learn are left out.
        """
        own = get_optimizer_state_dict(module, self.all)
        state = {name: held for name, held in saved["state"].items() if name in own["state"]}
        merged = {"state": state, "param_groups": own["param_groups"]}
        set_optimizer_state_dict(module, self.all, optim_state_dict=merged, options=StateDictOptions(strict=False))
