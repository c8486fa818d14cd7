"""Image tokens from tower features: project, pool, arrange the tiles as one map, end its rows with a newline.

Section 3.1 of arXiv 2505.16839; the order (pooling after the projector) is that of the published models.
T is the number of image tokens, n the number of cells of one view.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.config import TilesConfig
from lavida.image.tiles import Grid
from lavida.nn.layers import RMSNorm


class Projector(nn.Module):
    """Map tower channels C to denoiser width D: linear, exact GELU, linear; `norm` adds an RMSNorm."""

    def __init__(self, c_in: int, hidden: int, d_model: int, *, norm: bool = False) -> None:
        super().__init__()
        self.inner = nn.Linear(c_in, hidden)
        self.outer = nn.Linear(hidden, d_model)
        self.norm = RMSNorm(d_model, 1e-6) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] of features [..., C]."""
        x = self.outer(F.gelu(self.inner(x)))
        return x if self.norm is None else self.norm(x)


def _resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize maps [..., h, w, D] bilinearly, without antialiasing."""
    lead, (h, w, d) = x.shape[:-3], x.shape[-3:]
    flat = x.reshape(-1, h, w, d).permute(0, 3, 1, 2)
    flat = F.interpolate(flat, size=(height, width), mode="bilinear", align_corners=False)
    return flat.permute(0, 2, 3, 1).reshape(*lead, height, width, d)


def pool(x: Tensor) -> Tensor:
    """Return every view [..., n, D] at half its side, rounded up: 27x27 cells become 14x14."""
    side = math.isqrt(x.shape[-2])
    half = -(-side // 2)
    x = _resize(x.unflatten(-2, (side, side)), half, half)
    return x.flatten(-3, -2)


def _kept(grid: Grid, high: int, wide: int) -> tuple[slice, slice]:
    """Return the rows and columns of a tile map that hold picture rather than padding."""
    if grid.width / grid.height > wide / high:
        fitted = int(grid.height * (wide / grid.width))
        pad = (high - fitted) // 2
        return slice(pad, high - pad), slice(0, wide)
    fitted = int(grid.width * (high / grid.height))
    pad = (wide - fitted) // 2
    return slice(0, high), slice(pad, wide - pad)


def _map_size(grid: Grid, tiles: TilesConfig, side: int) -> tuple[int, int]:
    """Return rows and columns of the finished tile map, for views of `side` x `side` cells."""
    high, wide = grid.rows * side, grid.columns * side
    if tiles.unpad:
        rows, columns = _kept(grid, high, wide)
        high, wide = rows.stop - rows.start, columns.stop - columns.start
    if tiles.max_tiles:
        shrink = math.sqrt(high * wide / (tiles.max_tiles * side * side))
        if shrink > 1.1:
            high, wide = int(high // shrink), int(wide // shrink)
    return high, wide


def token_count(grid: Grid, tiles: TilesConfig, cells: int) -> int:
    """Return the number of tokens of one picture, for a tower of `cells` x `cells` cells a view."""
    side = -(-cells // 2) if tiles.pool else cells
    newline = int(tiles.unpad)
    high, wide = _map_size(grid, tiles, side) if grid.columns else (newline, 0)
    return side * side + high * (wide + newline)


def arrange(x: Tensor, grid: Grid, tiles: TilesConfig, newline: Tensor | None) -> Tensor:
    """Return image tokens [..., T, D] of projected (and pooled) views [..., V, n, D] of one grid.

    The global view's tokens come first, without newlines; then the tile map row by row. A picture of a single view
    ends with one newline.

    Args:
        x: Views.
        grid: How the tiles lie.
        tiles: How the views were cut.
        newline: Vector [D]; None for a layout that ends no row with it (`tiles.unpad` is False).
    """
    side = math.isqrt(x.shape[-2])
    base, lead = x[..., 0, :, :], x.shape[:-3]
    if not grid.columns:
        return (
            base
            if newline is None or not tiles.unpad
            else torch.cat((base, newline.to(x.dtype).expand(*lead, 1, -1)), -2)
        )
    tiled = x[..., 1:, :, :].reshape(*lead, grid.rows, grid.columns, side, side, x.shape[-1])
    tiled = tiled.transpose(-4, -3).reshape(*lead, grid.rows * side, grid.columns * side, x.shape[-1])
    if newline is None or not tiles.unpad:
        return torch.cat((base, tiled.flatten(-3, -2)), -2)
    rows, columns = _kept(grid, *tiled.shape[-3:-1])
    tiled = tiled[..., rows, columns, :]
    high, wide = _map_size(grid, tiles, side)
    if tiled.shape[-3:-1] != (high, wide):
        tiled = _resize(tiled, high, wide)
    ends = newline.to(x.dtype).expand(*lead, high, 1, -1)
    return torch.cat((base, torch.cat((tiled, ends), -2).flatten(-3, -2)), -2)


def arrange_frames(x: Tensor, newline: Tensor | None) -> Tensor:
    """Return tokens [T, D] of a video's projected and pooled frames [F, n, D]; each row ends with `newline`."""
    if newline is None:  # low-resolution and first-stage models have none
        return x.flatten(0, 1)
    side = math.isqrt(x.shape[-2])
    rows = x.unflatten(-2, (side, side))
    ends = newline.to(x.dtype).expand(*rows.shape[:2], 1, -1)
    return torch.cat((rows, ends), -2).flatten(0, 2)


def token_centres(grid: Grid, tiles: TilesConfig, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return centres [T, 2] (x, y in 0..1) of the tokens of `arrange`, and two flags [T]: global view, newline."""

    def cells(high: int, wide: int) -> Tensor:
        y, x = (torch.arange(high) + 0.5) / high, (torch.arange(wide) + 0.5) / wide
        return torch.stack((x.expand(high, wide), y[:, None].expand(high, wide)), -1)

    base = cells(side, side).flatten(0, 1)
    high, wide = _map_size(grid, tiles, side) if grid.columns else (int(tiles.unpad), 0)
    detail = F.pad(cells(high, wide), (0, 0, 0, int(tiles.unpad)))  # the newline stands after the row's last cell
    ends = torch.zeros(detail.shape[:2], dtype=torch.bool)
    if tiles.unpad:
        ends[:, -1:] = True
    is_global = torch.arange(len(base) + ends.numel()) < len(base)
    is_newline = torch.cat((torch.zeros(len(base), dtype=torch.bool), ends.flatten()))
    return torch.cat((base, detail.flatten(0, 1))), is_global, is_newline


class CellPositions(nn.Module):
    """Embed the position of a token's cell in the picture: a learned linear map of Fourier features."""

    def __init__(self, d_model: int, octaves: int = 6) -> None:
        super().__init__()
        self.octaves = octaves
        self.map = nn.Linear(3 + 4 * octaves, d_model, bias=False)

    def forward(self, grid: Grid, tiles: TilesConfig, side: int) -> Tensor:
        """Return [T, D] to add to the tokens of `arrange`; `side` is that of a view after pooling, in cells."""
        device, dtype = self.map.weight.device, self.map.weight.dtype
        centres, is_global, is_newline = (t.to(device) for t in token_centres(grid, tiles, side))
        turns = centres[:, :, None] * (math.pi * 2.0 ** torch.arange(self.octaves, device=device))  # [T, 2, F]
        waves = torch.cat((turns.sin(), turns.cos()), -1).flatten(1)
        features = torch.cat((centres, is_global[:, None].float(), waves), 1) * ~is_newline[:, None]
        return self.map(features.to(dtype))
