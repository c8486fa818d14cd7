"""The colour name of a cut-out, by a vote of its pixels; hue rotation as one 3x3 matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mini.data.concepts import COLOURS

# RGB -> YIQ of the NTSC standard; a hue rotation turns the (I, Q) plane and leaves the luma.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_NEUTRAL = ("black", "white", "gray")


def hue_matrix(degrees: float) -> Tensor:
    """Return the matrix [3, 3] that turns the hue of RGB columns by some degrees."""
    a = math.radians(degrees)
    turn = torch.tensor([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    return torch.linalg.inv(_YIQ) @ turn @ _YIQ


def pixel_votes(rgb: Tensor) -> Tensor:
    """Return the index into COLOURS of each pixel; rgb [N, 3] in 0..1 -> [N]."""
    high, low = rgb.amax(1), rgb.amin(1)
    span = (high - low).clamp_min(1e-6)
    r, g, b = rgb.unbind(1)
    from_green = torch.where(high == g, (b - r) / span + 2, (r - g) / span + 4)
    hue = 60 * torch.where(high == r, (g - b) / span % 6, from_green)
    sat = (high - low) / high.clamp_min(1e-6)
    # Upper limits of hue in degrees, in the order of the names.
    edges = torch.tensor([14.0, 40.0, 68.0, 168.0, 258.0, 292.0, 336.0, 361.0], device=rgb.device)
    names = [COLOURS.index(c) for c in ("red", "orange", "yellow", "green", "blue", "purple", "pink", "red")]
    vote = torch.tensor(names, device=rgb.device)[torch.bucketize(hue, edges, right=True).clamp_max(7)]

    def put(name: str, where: Tensor) -> None:
        vote[where] = COLOURS.index(name)

    warm = (hue < 45) | (hue > 345)
    put("brown", (hue >= 8) & (hue < 50) & (high < 0.72) & (sat > 0.2))
    put("brown", (hue < 20) & (sat < 0.62) & (sat > 0.2) & (high < 0.66))
    put("pink", ((hue < 14) | (hue > 330)) & (high > 0.8) & (sat < 0.58))
    put("gray", sat < torch.where(warm & (high < 0.5), 0.25, 0.15))
    put("white", (sat < 0.12) & (high > 0.85))
    put("black", (high < 0.22) | ((high < 0.32) & (sat < 0.3)))
    return vote


def colour_of(rgba: Tensor) -> str | None:
    """Return the colour name of a cut-out [4, h, w] uint8, or None if no name holds enough of its area.

    Dark pixels count as outline and do not vote against a colour; black, white and gray need 0.7 of everything.
    """
    step = max(1, max(rgba.shape[1:]) // 48)
    flat = rgba[:, ::step, ::step].reshape(4, -1).float() / 255
    rgb = flat[:3, flat[3] > 0.6].T
    if len(rgb) < 20:
        return None
    count = torch.bincount(pixel_votes(rgb), minlength=len(COLOURS)).float()
    neutral = torch.tensor([c in _NEUTRAL for c in COLOURS])
    share = count / (count.sum() - count[COLOURS.index("black")]).clamp_min(1)
    # An outline is thin: with much black in it a cut-out has no one colour, unless that is black.
    share = torch.where(neutral, count / count.sum(), share)
    best = int((share - 0.2 * neutral).argmax())
    black = float(count[COLOURS.index("black")] / count.sum())
    if neutral[best]:
        return COLOURS[best] if share[best] >= 0.7 else None
    return COLOURS[best] if share[best] >= 0.52 and black < 0.4 else None


def turn_hue(rgba: Tensor, degrees: float) -> Tensor:
    """Return a cut-out [4, h, w] uint8 with its hue turned."""
    if not degrees:
        return rgba
    rgb = torch.einsum("ij,jhw->ihw", hue_matrix(degrees).to(rgba.device), rgba[:3].float())
    return torch.cat([rgb.round().clamp(0, 255).to(torch.uint8), rgba[3:]])
