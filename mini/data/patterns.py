"""Backgrounds made from a seed: plain, graded, striped, checked, cloudy."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 448


def _colour(g: torch.Generator) -> Tensor:
    """Draw a random colour [3, 1, 1] in 0..1, as often pale as strong."""
    rgb = torch.rand(3, generator=g)
    return (rgb + (1 - rgb) * torch.rand(1, generator=g) * 0.9).view(3, 1, 1)


def procedural(seed: int) -> Tensor:
    """Return a plain, graded, striped, checked or noisy background, uint8 [3, 448, 448]; the same for the same seed."""
    g = torch.Generator().manual_seed(seed)
    kind = int(torch.randint(6, (1,), generator=g))
    a, b = _colour(g), _colour(g)
    angle = float(torch.rand(1, generator=g)) * 2 * math.pi
    line = torch.linspace(-1, 1, SIDE)
    ramp = line.view(1, 1, -1) * math.cos(angle) + line.view(1, -1, 1) * math.sin(angle)
    period = 4 + 20 * float(torch.rand(1, generator=g))
    if kind == 0:
        mix = torch.zeros(1, SIDE, SIDE)
    elif kind == 1:
        mix = (ramp + 1.42) / 2.84
    elif kind == 2:
        mix = ((ramp * period / math.pi).floor() % 2).float()
    elif kind == 3:
        odd = (line * period / math.pi).floor() % 2
        mix = (odd.view(1, 1, -1) - odd.view(1, -1, 1)).abs()
    else:
        cells = 2 + int(torch.randint(7 if kind == 4 else 80, (1,), generator=g))
        coarse = torch.rand(1, 1, cells, cells, generator=g)
        smooth = F.interpolate(coarse, (SIDE // 4, SIDE // 4), mode="bicubic", align_corners=True)
        mix = F.interpolate(smooth, (SIDE, SIDE), mode="bilinear")[0].clamp_(0, 1)
    # Stripes and checks in full contrast would drown the things on them.
    mix = mix * (0.15 + 0.5 * torch.rand(1, generator=g)) if kind in (2, 3, 5) else mix
    grain = 0.1 * float(torch.rand(1, generator=g))
    mix = mix * (1 - grain) + torch.rand(mix.shape, generator=g) * grain
    return torch.lerp(a * 255, b * 255, mix).to(torch.uint8)
