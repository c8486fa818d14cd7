"""Muon for the matrices of the blocks, AdamW for the rest.

Beside AdamW alone, Muon took a third of the questions to the same loss in the one comparison made
(docs/training-log.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lavida.model.vlm import VLM


class Optimizers:
    """Both optimizers as one; each group's rate is `rate` times its own factor."""

    def __init__(
        self, vlm: VLM, heads: nn.Module, *, rate: float, muon: float, embedding: float, projector: float, tower: float
    ) -> None:
        self.rate = rate
        parts: dict[str, list[Tensor]] = {"muon": [], "embedding": [], "projector": [], "tower": [], "other": []}
        for name, p in [*vlm.named_parameters(), *heads.named_parameters()]:
            if not p.requires_grad:
                continue
            if name.startswith("denoiser.blocks") and p.dim() == 2:
                parts["muon"].append(p)
            else:
                parts[next((k for k in ("embedding", "projector", "tower") if k in name), "other")].append(p)
        self.parameters = [p for part in parts.values() for p in part]
        factors = {"embedding": embedding, "projector": projector, "tower": tower, "other": 1.5}
        groups = [{"params": parts[k], "factor": f} for k, f in factors.items() if parts[k]]
        self.both: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        ]
        if parts["muon"]:
            matrices = [{"params": parts["muon"], "factor": muon}]
            self.both.append(
                torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw")
            )

    def schedule(self, step: int, steps: int, warmup: int = 60) -> None:
        """Linear warm-up, then a cosine down to a twentieth."""
        share = min(1.0, (step + 1) / warmup) * max(0.05, 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))
        for optimizer in self.both:
            for group in optimizer.param_groups:
                group["lr"] = self.rate * group["factor"] * share

    def step(self, loss: Tensor, clip: float = 1.0) -> None:
        for optimizer in self.both:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, clip)
        for optimizer in self.both:
            optimizer.step()

    def state(self) -> list[dict]:
        return [optimizer.state_dict() for optimizer in self.both]

    def load(self, state: list[dict]) -> None:
        for optimizer, saved in zip(self.both, state, strict=True):
            optimizer.load_state_dict(saved)
