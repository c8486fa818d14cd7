from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lavida.config import TilesConfig, VisionConfig
from lavida.image.tiles import best_pinpoint, for_several, frame_views, grid_of, views

PINPOINTS = ((384, 768), (768, 384), (768, 768), (1152, 384), (384, 1152))
SIZES = {"n_layers": 1, "n_heads": 1, "mlp_size": 8, "patch_size": 14}
VISION = VisionConfig(kind="siglip", hidden_size=8, image_size=384, cells=27, **SIZES)
MINI = VisionConfig(kind="efficientnet-lite0", hidden_size=8, image_size=224, cells=7, mean=127 / 255, std=128 / 255)


@pytest.mark.parametrize(
    ("size", "chosen"),
    [
        ((640, 480), (768, 768)),
        ((1920, 1080), (768, 768)),
        ((2000, 500), (1152, 384)),
        ((500, 2000), (384, 1152)),
        ((300, 300), (384, 768)),
        ((200, 100), (384, 768)),
        ((1, 1), (384, 768)),
    ],
)
def test_best_pinpoint_keeps_most_pixels(size: tuple[int, int], chosen: tuple[int, int]) -> None:
    assert best_pinpoint(*size, PINPOINTS) == chosen


def test_global_view_comes_first_and_is_the_squashed_picture() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8))
    got, grid = views(image, VISION, TilesConfig(pinpoints=PINPOINTS))
    whole = torch.from_numpy(np.array(image.resize((384, 384)))).permute(2, 0, 1).float()
    assert got.shape == (grid.n_views, 3, 384, 384)
    assert torch.allclose(got[0] * 127.5 + 127.5, whole, atol=1e-3)


def test_padding_is_black_and_centred() -> None:
    image = Image.new("RGB", (768, 384), "white")
    got, _ = views(image, VISION, TilesConfig(pinpoints=((768, 768),)))
    top, bottom = got[1], got[3]
    assert (top[:, :192] == -1).all()
    assert (top[:, 192:] == 1).all()
    assert (bottom[:, :192] == 1).all()
    assert (bottom[:, 192:] == -1).all()


def test_tiles_run_row_by_row() -> None:
    image = Image.new("L", (768, 768))
    for i, box in enumerate([(0, 0), (384, 0), (0, 384), (384, 384)]):
        image.paste(50 * (i + 1), (*box, box[0] + 384, box[1] + 384))
    got, grid = views(image, VISION, TilesConfig(pinpoints=((768, 768),)))
    assert (grid.columns, grid.rows) == (2, 2)
    assert [round(v.mean().item() * 127.5 + 127.5) for v in got[1:]] == [50, 100, 150, 200]


def test_stretching_fills_the_canvas() -> None:
    tiles = TilesConfig(pinpoints=((448, 448),), keep_aspect=False)
    got, grid = views(Image.new("RGB", (900, 30), (127, 255, 0)), MINI, tiles)
    assert grid == grid_of(30, 900, MINI, tiles)
    assert (grid.width, grid.height, grid.n_views) == (448, 448, 5)
    assert torch.allclose(got[:, 0], torch.zeros(5, 224, 224), atol=1e-6)
    assert torch.allclose(got[:, 1], torch.ones(5, 224, 224), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 10), (10, 20_000)])
def test_extreme_pictures_still_give_views(size: tuple[int, int]) -> None:
    got, grid = views(Image.new("RGB", size), VISION, TilesConfig(pinpoints=PINPOINTS))
    assert len(got) == grid.n_views
    assert got.isfinite().all()


def test_one_of_several_pictures_lies_on_a_grey_square() -> None:
    several = for_several(TilesConfig(pinpoints=PINPOINTS))
    got, grid = views(Image.new("RGB", (768, 384), "white"), VISION, several)
    assert grid.n_views == 1 and got.shape == (1, 3, 384, 384)
    grey = (127 / 255 - 0.5) / 0.5
    assert torch.allclose(got[0, :, :90], torch.tensor(grey)) and torch.allclose(got[0, :, -90:], torch.tensor(grey))
    assert (got[0, :, 100:280] == 1).all()


def test_a_model_that_stretches_its_pictures_tiles_several_as_it_does_one() -> None:
    tiles = TilesConfig(pinpoints=((448, 448),), keep_aspect=False)
    assert for_several(tiles) is tiles


def test_each_frame_of_a_video_is_one_squashed_view() -> None:
    frames = [Image.new("RGB", size, level) for size, level in (((90, 60), "white"), ((20, 80), "black"))]
    got = frame_views(frames, VISION)
    assert got.shape == (2, 3, 384, 384) and (got[0] == 1).all() and (got[1] == -1).all()
