"""Features on disk survive an interruption."""

import pytest
import torch

from lavida.errors import DataError
from mini.data.features import Features, five_views, write_features
from tests.mini.train.test_task import NoTower

PICTURE = torch.arange(448, dtype=torch.uint8).expand(3, 448, 448)


def test_five_views_are_the_whole_and_its_quarters():
    views = five_views(PICTURE)
    assert views.shape == (5, 3, 224, 224)
    assert torch.equal(views[2], PICTURE[:, :224, 224:].float()) and torch.equal(
        views[3], PICTURE[:, 224:, :224].float()
    )


def test_a_torn_write_is_cut_off(tmp_path):
    pictures = [(PICTURE, None, f"photo {i}") for i in range(3)]
    write_features(tmp_path, iter(pictures), NoTower())
    with open(tmp_path / "maps.bf16", "ab") as file:
        file.write(b"half a picture")
    with open(tmp_path / "truth.jsonl", "a") as file:
        file.write('{"scene": nu')
    write_features(tmp_path, iter(pictures[:1]), NoTower())
    features = Features(tmp_path)
    assert [t.source for t in features.records] == ["photo 0", "photo 1", "photo 2", "photo 0"]
    assert features.maps.shape == (4, 5, 196, 80)
    (tmp_path / "maps.bf16").unlink()
    with pytest.raises(DataError, match="older version; delete it"):
        Features(tmp_path)
