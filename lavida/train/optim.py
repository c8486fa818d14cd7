"""Muon for the matrices of hidden layers where a task asks for it, AdamW for the rest, as one optimizer.

Beside AdamW alone, Muon took a third of the questions to the same loss in the one comparison made
(docs/training-log.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.distributed.tensor import DTensor

from lavida.train.task import Group, Plan


class Optimizers:
    """Both optimizers; the rate of each group is its own times the plan's share at the step."""

    def __init__(self, groups: Sequence[Group], plan: Plan) -> None:
        self.plan = plan
        self.parameters = [p for muon in (True, False) for g in groups if g.muon == muon for p in g.parameters]
        self.all: list[torch.optim.Optimizer] = []
        plain = [self._group(g) for g in groups if not g.muon and g.parameters]
        matrices = [self._group(g) for g in groups if g.muon and g.parameters]
        if plain:
            self.all.append(
                torch.optim.AdamW(plain, lr=1.0, betas=plan.betas, weight_decay=plan.weight_decay, fused=True)
            )
        if matrices:
            self.all.append(
                torch.optim.Muon(
                    matrices, lr=1.0, weight_decay=plan.weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
                )
            )

    @staticmethod
    def _group(group: Group) -> dict:
        return {"params": list(group.parameters), "lr": group.rate, "rate": group.rate, "name": group.name}

    def schedule(self, step: int) -> dict[str, float]:
        """Set the rates of a step, counted from 0; returns them by the groups' names."""
        share, rates = self.plan.share(step), {}
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = rates[group["name"]] = group["rate"] * share
        return rates

    def clear(self) -> None:
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    def clip(self) -> float:
        """Bring the gradient to the plan's largest norm at most; returns the norm it had."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def step(self) -> None:
        for p in self.parameters:
            if p.grad is None:  # unused by this batch: it follows its momentum, whoever else took part in the step
                p.grad = torch.zeros_like(p)
        for optimizer in self.all:
            optimizer.step()
