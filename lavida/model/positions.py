"""Where a feature cell lies in the picture, as a vector: left and right cannot be told from raster order alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_OCTAVES = 6


class CellPositions(nn.Module):
    """A learned linear map of Fourier features of a cell's centre."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.map = nn.Linear(3 + 4 * _OCTAVES, d_model, bias=False)

    def forward(self, centres: Tensor) -> Tensor:
        """Vectors [..., D] of centres [..., 3]: x and y in [0, 1], then 1 for the global view and 0 for a tile."""
        angles = centres[..., :2, None] * (math.pi * 2.0 ** torch.arange(_OCTAVES, device=centres.device))
        waves = torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        return self.map(torch.cat((centres, waves), dim=-1).to(self.map.weight.dtype))


def grid_centres(rows: int, columns: int, *, whole: bool) -> Tensor:
    """Centres [rows, columns, 3] of an even grid over the picture; `whole` marks the global view."""
    y = (torch.arange(rows) + 0.5) / rows
    x = (torch.arange(columns) + 0.5) / columns
    yy, xx = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((xx, yy, torch.full_like(xx, float(whole))), dim=-1)
