"""Maps of a split are drawn once and resumed where they stopped."""

from pathlib import Path

import pytest
import torch

from mini.data import prepare
from mini.data.worlds import SceneSampler
from mini.eval import splits


class FakeTower(torch.nn.Module):
    """One number for each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def trunk(self, views: torch.Tensor) -> torch.Tensor:
        return self.weight * views.mean((1, 2, 3))[:, None, None].expand(-1, 196, 80)

    def classify(self, maps: torch.Tensor) -> torch.Tensor:
        return maps[:, 0, :3]


@pytest.fixture
def split(monkeypatch) -> splits.Split:
    monkeypatch.setattr(prepare, "sampler_of", lambda atlas, cutouts: SceneSampler.symbolic())
    monkeypatch.setattr(prepare, "render_scene", lambda *_: torch.zeros(3, 448, 448, dtype=torch.uint8))
    return splits.Split(cutouts="train", scenes=3, seed=1, title="three")


def test_made_once_and_the_same_after_a_break(split, tmp_path: Path):
    said: list[str] = []
    first = splits.split_features(None, tmp_path / "a", split, FakeTower(), said.append)
    again = splits.split_features(None, tmp_path / "a", split, FakeTower(), said.append)
    assert len(first) == len(again) == 3 and len(said) == 1
    part = splits.Split(cutouts="train", scenes=1, seed=1, title="one")
    splits.split_features(None, tmp_path / "b", part, FakeTower(), said.append)
    resumed = splits.split_features(None, tmp_path / "b", split, FakeTower(), said.append)
    assert [t.scene for t in resumed.records] == [t.scene for t in first.records]
