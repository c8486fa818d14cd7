from __future__ import annotations

import pytest
import torch

from lavida.config import TilesConfig, VisionConfig
from lavida.image.tiles import Grid, for_several, grid_of
from lavida.model.projector import CellPositions, arrange, arrange_frames, pool, token_centres, token_count

LAVIDA = TilesConfig(pinpoints=((384, 768), (768, 384), (768, 768), (1152, 384), (384, 1152)))
LLADA_V = TilesConfig(
    pinpoints=tuple((i * 384, j * 384) for i in range(1, 7) for j in range(1, 7)), pool=False, max_tiles=4
)
VISION = VisionConfig(
    kind="siglip", hidden_size=2, image_size=384, cells=27, n_layers=1, n_heads=1, mlp_size=2, patch_size=14
)


def _tokens(size: tuple[int, int], tiles: TilesConfig) -> int:
    grid = grid_of(*size, VISION, tiles)
    x = torch.randn(grid.n_views, 27 * 27, 2)
    tokens = len(arrange(pool(x) if tiles.pool else x, grid, tiles, torch.zeros(2)))
    assert token_count(grid, tiles, VISION.cells) == tokens
    return tokens


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((500, 500), 1008),
        ((640, 480), 834),
        ((480, 640), 840),
        ((1920, 1080), 660),
        ((2000, 500), 626),
        ((500, 2000), 658),
        ((300, 300), 406),
        ((200, 100), 316),
    ],
)
def test_token_counts_of_lavida(size: tuple[int, int], tokens: int) -> None:
    assert _tokens(size, LAVIDA) == tokens


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((384, 384), 1485), ((640, 480), 2929), ((1000, 750), 3627), ((300, 1200), 3753), ((3000, 3000), 3699)],
)
def test_token_counts_of_llada_v(size: tuple[int, int], tokens: int) -> None:
    assert _tokens(size, LLADA_V) == tokens


def test_rows_of_the_tile_map_end_with_the_newline() -> None:
    grid = Grid(columns=2, rows=1, width=200, height=100)
    x = torch.arange(3 * 4).float().reshape(3, 4, 1)  # views of 2x2 cells
    tokens = arrange(x, grid, TilesConfig(pinpoints=((2, 1),)), torch.tensor([-1.0]))
    assert tokens[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 8, 9, -1, 6, 7, 10, 11, -1]


def test_a_single_view_ends_with_one_newline() -> None:
    grid = Grid(columns=0, rows=0, width=5, height=5)
    assert len(arrange(torch.zeros(1, 9, 1), grid, TilesConfig(), torch.ones(1))) == 10


def test_batch_dimensions_pass_through() -> None:
    grid, tiles = Grid(columns=2, rows=2, width=640, height=480), TilesConfig(pinpoints=((448, 448),))
    x, newline = torch.randn(3, 2, 5, 49, 6), torch.randn(6)
    whole = arrange(pool(x), grid, tiles, newline)
    assert torch.allclose(whole[2, 1], arrange(pool(x[2, 1]), grid, tiles, newline), atol=1e-6)


@pytest.mark.parametrize("size", [(640, 480), (100, 900), (1, 1), (20_000, 10)])
@pytest.mark.parametrize("tiles", [LAVIDA, LLADA_V, TilesConfig(), TilesConfig(pinpoints=((768, 768),), unpad=False)])
def test_every_token_has_a_centre(size: tuple[int, int], tiles: TilesConfig) -> None:
    grid = grid_of(*size, VISION, tiles)
    side = 14 if tiles.pool else 27
    newline = torch.full((1,), torch.inf)
    tokens = arrange(torch.zeros(grid.n_views, side * side, 1), grid, tiles, newline)[:, 0]
    centres, is_global, is_newline = token_centres(grid, tiles, side)
    assert len(centres) == len(tokens)
    assert torch.equal(is_newline, tokens.isinf())
    assert int(is_global.sum()) == side * side
    inside = centres[~is_newline]
    assert ((inside > 0) & (inside < 1)).all()


def test_positions_tell_cells_apart_and_leave_newlines_alone() -> None:
    grid, tiles = Grid(columns=2, rows=2, width=448, height=448), TilesConfig(pinpoints=((448, 448),), positions=True)
    added = CellPositions(16)(grid, tiles, 4).detach()
    _, _, is_newline = token_centres(grid, tiles, 4)
    assert (added[is_newline] == 0).all()
    cells = added[~is_newline]
    assert torch.cdist(cells, cells).fill_diagonal_(1).min() > 1e-3


@pytest.mark.parametrize(("tiles", "trained"), [(LAVIDA, 14 * 14 + 1), (LLADA_V, 27 * 27 + 1)])
def test_token_counts_of_one_of_several_pictures(tiles: TilesConfig, trained: int) -> None:
    assert _tokens((640, 480), for_several(tiles)) == trained
    assert _tokens((640, 480), for_several(tiles, official=True)) == 27 * 27


def test_frames_of_a_video_end_their_rows_with_a_newline() -> None:
    x, newline = torch.randn(32, 14 * 14, 2), torch.full((2,), 7.0)
    tokens = arrange_frames(x, newline)
    assert len(tokens) == 6720  # LLaDA-V: 210 a frame
    rows = tokens.view(32, 14, 15, 2)
    assert (rows[:, :, 14] == newline).all() and torch.equal(rows[:, :, :14].flatten(1, 2), x)
    assert torch.equal(arrange_frames(x, None), x.flatten(0, 1))
