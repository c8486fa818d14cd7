"""Features of drawn scenes and of photographs: made once, taken up where they stopped."""

from __future__ import annotations

import json

import pytest
import torch

from lavida.data import prepare as module
from lavida.data.prepare import drawn_scenes, load_tower, photo_crops, prepare
from lavida.errors import DataError
from tests.data.atlases import tiny_atlas
from tests.train.test_curriculum import NoTower


def test_prepared_once_and_resumed(tmp_path, monkeypatch):
    atlas = tiny_atlas(tmp_path)
    for row in atlas.rows:
        row["concept"] = ("cat", "dog", "owl", "bee")[row["index"]]
    (tmp_path / "cutouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in atlas.rows))
    monkeypatch.setattr(module, "load_tower", lambda data: NoTower())
    said: list[str] = []
    (few,), photos = prepare(tmp_path, scenes=2, crops=3, say=said.append)
    assert len(few) == 2 and len(photos) == 3 and photos.truths[0].scene is None
    assert {o.name for t in few.truths for o in t.scene.objects} <= {"cat", "dog", "owl", "bee"}
    (more,), _ = prepare(tmp_path, scenes=5, crops=3, say=said.append)
    assert len(more) == 5 and [t.scene for t in more.truths[:2]] == [t.scene for t in few.truths]
    assert said == ["train: 2 pictures through the tower", "photos: 3 pictures through the tower"] + [
        "train: 3 pictures through the tower"
    ]


def test_crops_are_whole_first_and_have_the_size_of_a_scene(tmp_path):
    crops = list(photo_crops(tiny_atlas(tmp_path), 4, seed=1))
    assert len(crops) == 4 and all(c.shape == (3, 448, 448) and c.dtype == torch.uint8 for c, _, _ in crops)


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(DataError, match="build the data first"):
        load_tower(tmp_path)
    with pytest.raises(DataError, match="has no cut-outs of the split nowhere"):
        next(drawn_scenes(tiny_atlas(tmp_path), "nowhere", 0, (1,)))
