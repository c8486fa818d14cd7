"""Rendering of scenes: cut-outs turned, tinted, blurred and laid on a background; the same code on CPU and GPU."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mini.data.atlas import Atlas, Row
from mini.data.colours import colour_of, hue_matrix, turn_hue
from mini.data.patterns import SIDE
from mini.data.scenes import Placed, Scene


def _blur(picture: Tensor, radius: float) -> Tensor:
    """Blur [4, h, w] by a Gaussian of standard deviation `radius` pixels; the picture grows by the blur's margin."""
    reach = max(1, math.ceil(2 * radius))
    x = torch.arange(-reach, reach + 1, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-(x**2) / (2 * radius**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    padded = F.pad(picture[:, None], (2 * reach,) * 4)
    return F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3))[:, 0]


def _prepare(cutout: Tensor, placed: Placed, height: int, width: int) -> Tensor:
    """Return the cut-out at its size on the scene, premultiplied, float [4, height, width] in 0..1."""
    picture = cutout.float().div_(255)
    alpha = picture[3:]
    if placed.hue:
        rgb = (hue_matrix(placed.hue).to(picture.device) @ picture[:3].flatten(1)).clamp_(0, 1)
        picture = torch.cat([rgb.view_as(picture[:3]) * alpha, alpha])
    else:
        picture[:3] *= alpha
    if picture.shape[1:] != (height, width):
        smaller = height < picture.shape[1] or width < picture.shape[2]
        picture = F.interpolate(picture[None], (height, width), mode="bilinear", antialias=smaller)[0]
    if placed.flip:
        picture = picture.flip(2)
    return _blur(picture, placed.blur) if placed.blur > 0.05 else picture


def _place(canvas: Tensor, picture: Tensor, placed: Placed) -> None:
    """Lay a premultiplied [4, h, w] on the canvas [3, H, W] in place, turned counter-clockwise about its centre."""
    _, h, w = picture.shape
    rows, columns = canvas.shape[1:]
    cx, cy = placed.x * columns, placed.y * rows
    a = -math.radians(placed.rotation)  # rows grow downwards
    cos, sin = math.cos(a), math.sin(a)
    half_x = (abs(w * cos) + abs(h * sin)) / 2 + 1
    half_y = (abs(w * sin) + abs(h * cos)) / 2 + 1
    left, right = max(0, math.floor(cx - half_x)), min(columns, math.ceil(cx + half_x))
    top, bottom = max(0, math.floor(cy - half_y)), min(rows, math.ceil(cy + half_y))
    if right <= left or bottom <= top:
        return
    dx = torch.arange(left, right, device=canvas.device) + 0.5 - cx
    dy = (torch.arange(top, bottom, device=canvas.device) + 0.5 - cy)[:, None]
    grid = torch.stack([(dx * cos + dy * sin) * (2 / w), (dy * cos - dx * sin) * (2 / h)], dim=-1)
    layer = F.grid_sample(picture[None], grid[None], align_corners=False)[0]
    window = canvas[:, top:bottom, left:right]
    window.mul_(1 - layer[3:]).add_(layer[:3])


def _compress(scene: Tensor, quality: int) -> Tensor:
    out = io.BytesIO()
    Image.fromarray(scene.cpu().permute(1, 2, 0).numpy()).save(out, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(out))).permute(2, 0, 1).to(scene.device)


def render(scene: Scene, atlas: Atlas, background: Tensor, seed: int) -> Tensor:
    """Render a scene as uint8 [3, 448, 448] on the background's device.

    `background` is uint8 [3, 448, 448]. The seed mirrors the background and tints the light; objects keep
    their places. A box is that of the cut-out before rotation.
    """
    g = torch.Generator().manual_seed(seed)
    light = 1 + (torch.rand(4, generator=g) - 0.5) * torch.tensor([0.06, 0.06, 0.06, 0.16])
    canvas = background.float().div_(255)
    if torch.rand(1, generator=g) < 0.5:
        canvas = canvas.flip(2)
    for placed in scene.objects:
        width, height = max(2, round(placed.w * SIDE)), max(2, round(placed.h * SIDE))
        cutout = atlas.image(placed.cutout).to(canvas.device, non_blocking=True)
        _place(canvas, _prepare(cutout, placed, height, width), placed)
    gain = (light[:3] * light[3] * 255).view(3, 1, 1).to(canvas.device)
    picture = canvas.mul_(gain).add_(0.5).clamp_(0, 255).to(torch.uint8)
    return _compress(picture, scene.jpeg) if scene.jpeg else picture


def render_scene(scene: Scene, atlas: Atlas, seed: int, device: torch.device | str = "cpu") -> Tensor:
    """Render a scene on the background that it names."""
    return render(scene, atlas, atlas.background(scene.background).to(device), seed)


def hue_colour(atlas: Atlas, row: Row, hue: float) -> str | None:
    """Return the colour name of a cut-out once its hue is turned by some degrees."""
    if not hue:
        return row["colour"]
    return colour_of(turn_hue(atlas.image(row["index"]), hue))
