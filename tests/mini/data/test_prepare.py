"""Features of drawn scenes and of photographs: made once, taken up where they stopped."""

from __future__ import annotations

import json
from itertools import islice

import pytest
import torch

from lavida.errors import DataError
from mini.data import prepare as module
from mini.data.atlas import Atlas
from mini.data.prepare import drawn_scenes, load_tower, photo_crops, prepare
from tests.mini.data.atlases import tiny_atlas
from tests.mini.train.test_task import NoTower


def four_names(folder) -> Atlas:
    """A tiny atlas whose discs are four things."""
    atlas = tiny_atlas(folder)
    for row in atlas.rows:
        row["concept"] = ("cat", "dog", "owl", "bee")[row["index"]]
    (folder / "cutouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in atlas.rows))
    return Atlas.load(folder)


def test_prepared_once_and_resumed(tmp_path, monkeypatch):
    four_names(tmp_path)
    monkeypatch.setattr(module, "load_tower", lambda data: NoTower())
    said: list[str] = []
    (few,), photos = prepare(tmp_path, scenes=2, crops=3, log=said.append)
    assert len(few) == 2 and len(photos) == 3 and photos.records[0].scene is None
    assert {o.name for t in few.records for o in t.scene.objects} <= {"cat", "dog", "owl", "bee"}
    (more,), _ = prepare(tmp_path, scenes=5, crops=3, log=said.append)
    assert len(more) == 5 and [t.scene for t in more.records[:2]] == [t.scene for t in few.records]
    assert said == ["train: 2 pictures through the tower", "photos: 3 pictures through the tower"] + [
        "train: 3 pictures through the tower"
    ]


def test_scenes_without_repeats_can_be_thinned(tmp_path):
    atlas = four_names(tmp_path)

    def most(kept, n=40):
        drawn = drawn_scenes(atlas, "train", 1, (0, 0, 1, 1), kept)
        return [max(scene.counts.values()) for _, scene, _ in islice(drawn, n)]

    assert 1 in most(None) and most(None) == most({})
    assert min(most({1: 0.0})) == 2 and min(most({1: 0.0, 2: 0.0})) == 3


def test_crops_are_whole_first_and_have_the_size_of_a_scene(tmp_path):
    crops = list(photo_crops(tiny_atlas(tmp_path), 4, seed=1))
    assert len(crops) == 4 and all(c.shape == (3, 448, 448) and c.dtype == torch.uint8 for c, _, _ in crops)


def test_crops_vary_as_cameras_do_and_follow_the_seed(tmp_path, monkeypatch):
    atlas = tiny_atlas(tmp_path)
    coloured = torch.arange(3 * 48 * 64).reshape(3, 48, 64).remainder(251).to(torch.uint8)
    monkeypatch.setattr(Atlas, "photo", lambda self, i: coloured)
    crops = [c for c, _, _ in photo_crops(atlas, 30, seed=1)]
    assert all(torch.equal(a, b) for a, (b, _, _) in zip(crops, photo_crops(atlas, 30, seed=1), strict=True))
    grey = [bool((c == c[:1]).all()) for c in crops]
    assert not grey[0] and any(grey) and not all(grey)
    spread = torch.stack([c.float().mean() for c in crops])
    assert spread.std() > 1  # paler and darker


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(DataError, match="build the data first"):
        load_tower(tmp_path)
    with pytest.raises(DataError, match="has no cut-outs of the split nowhere"):
        next(drawn_scenes(tiny_atlas(tmp_path), "nowhere", 0, (1,)))
