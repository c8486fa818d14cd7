"""Name the colours of a picture's cells with the eleven basic terms, and tell black-and-white pictures."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.text.things import COLOUR_WEIGHTS, COLOURS

# Typical colours of each term in sRGB; a pixel takes the term of the nearest in CIELAB.
_TYPICAL = {
    "red": ((200, 30, 30), (150, 20, 25), (230, 60, 50)),
    "orange": ((245, 130, 30), (225, 110, 20), (255, 165, 60)),
    "yellow": ((250, 220, 40), (225, 195, 40), (255, 240, 120)),
    "green": ((40, 150, 60), (30, 90, 40), (120, 190, 80), (90, 110, 50), (60, 75, 40)),
    "blue": ((30, 80, 200), (20, 40, 110), (100, 160, 230), (135, 190, 235), (60, 90, 140)),
    "purple": ((120, 50, 150), (80, 40, 110), (170, 120, 200)),
    "pink": ((245, 150, 180), (230, 90, 140), (250, 200, 210)),
    "brown": ((120, 75, 40), (85, 50, 30), (160, 110, 70), (60, 38, 25), (190, 155, 115)),
    "black": ((15, 15, 15), (35, 35, 38)),
    "white": ((250, 250, 250), (225, 225, 225)),
    "gray": ((128, 128, 128), (90, 90, 92), (165, 165, 165), (195, 195, 195)),
}
_TO_XYZ = torch.tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = torch.tensor([0.9505, 1.0, 1.089])
MONOCHROME = 2.5  # chroma left over, 90th percentile


def to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB [..., 3] from 0 to 1 to CIELAB under D65."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055).clamp_min(0) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = torch.where(xyz > 0.008856, xyz.clamp_min(1e-8) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(-1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), -1)


@lru_cache(maxsize=1)
def _typical() -> tuple[Tensor, Tensor]:
    """Return typical colours [P, 3] in CIELAB and the index [P] of the term of each."""
    rgb = torch.tensor([c for name in COLOURS for c in _TYPICAL[name]]).float() / 255
    return to_lab(rgb), torch.tensor([i for i, name in enumerate(COLOURS) for _ in _TYPICAL[name]])


def small_lab(views: Tensor, mean: float, std: float, side: int = 56) -> Tensor:
    """Return normalised views [V, 3, S, S] as CIELAB [V, side, side, 3]."""
    rgb = F.adaptive_avg_pool2d((views.float() * std + mean).clamp(0, 1), side)
    return to_lab(rgb.permute(0, 2, 3, 1))


def colour_shares(lab: Tensor, cells: int = 4) -> Tensor:
    """Return the share [V, cells * cells, 11] of each colour term in each cell of CIELAB maps [V, H, H, 3]."""
    typical, term = _typical()
    weight = torch.tensor([0.6, 1.0, 1.0])  # lightness says less about the name than hue
    distance = torch.cdist((lab * weight).flatten(0, 2), typical * weight)
    names = F.one_hot(term[distance.argmin(1)], len(COLOURS)).float().unflatten(0, lab.shape[:3])
    return F.adaptive_avg_pool2d(names.permute(0, 3, 1, 2), cells).flatten(2).transpose(1, 2)


def main_colour(shares: Tensor) -> tuple[str, float]:
    """Return the colour that a thing with these shares [11] is called by, and its discounted share."""
    discounted = shares * torch.tensor(COLOUR_WEIGHTS)
    best = int(discounted.argmax())
    return COLOURS[best], float(discounted[best] / discounted.sum().clamp_min(1e-6))


def is_monochrome(lab: Tensor) -> bool:
    """Tell a picture [H, W, 3] in CIELAB that is black and white or of one tint.

    The chroma that a quadratic function of the lightness does not explain must be small.
    """
    light, chroma = lab[..., 0].flatten().double(), lab[..., 1:].flatten(0, 1).double()
    known = torch.stack((torch.ones_like(light), light / 100, (light / 100) ** 2), 1)
    inverse = torch.linalg.pinv(known.T @ known, rtol=1e-9, hermitian=True)  # a plain picture has one lightness
    left = chroma - known @ (inverse @ (known.T @ chroma))
    return float(left.norm(dim=1).quantile(0.9)) < MONOCHROME
