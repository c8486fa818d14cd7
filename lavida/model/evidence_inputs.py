"""Hold what the frozen parts found in pictures as tensors that the network reads.

Letters: B pictures, C = 80 cells, K boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class EvidenceInputs:
    """Hold the evidence of B pictures as tensors; what is absent has share or score 0."""

    classes: Tensor  # [B, C, 5] class of each cell, surest first
    shares: Tensor  # [B, C, 5] probabilities of these
    colours: Tensor  # [B, C, 11] share of each colour
    things: Tensor  # [B, K] class of each box
    scores: Tensor  # [B, K]
    edges: Tensor  # [B, K, 4] left, top, right and bottom, as fractions
    painted: Tensor  # [B, K, 11] colours inside each box
    numbers: Tensor  # [B, K] the box's number among those of its kind, from 1
    counts: Tensor  # [B, K] how many boxes of this kind there are
    top: Tensor  # [B, 3] classes of the whole picture, surest first
    top_shares: Tensor  # [B, 3]
    look: Tensor  # [B, 3] 1 if monochrome, brightness from 0 to 1, 1 if colours are known at all

    def to(self, device: torch.device | str) -> EvidenceInputs:
        """Move all tensors to a device."""
        return EvidenceInputs(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @staticmethod
    def stack(parts: Sequence[EvidenceInputs]) -> EvidenceInputs:
        """Join the inputs of several pictures."""
        return EvidenceInputs(
            **{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(EvidenceInputs)}
        )
