"""Folders of photographs as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lavida.data.folders import FolderSource
from lavida.data.sources import open_source
from lavida.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in (
        "solar_panel/b.JPG",
        "solar_panel/old/a.png",
        "cat/1.webp",
        "cat/.hidden.png",
        ".trash/x.png",
        "top.png",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 12)).save(path)
    (tmp_path / "photos" / "cat" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


def test_a_folder_is_what_its_photographs_show(photos: Path) -> None:
    source = open_source(photos)
    assert isinstance(source, FolderSource) and len(source) == 3
    said = [[part.value for turn in sample.turns for part in turn.parts] for sample in source]
    assert said == [
        [photos / "cat" / "1.webp", "What is this?", "cat"],
        [photos / "solar_panel" / "b.JPG", "What is this?", "solar panel"],
        [photos / "solar_panel" / "old" / "a.png", "What is this?", "solar panel"],
    ]
    assert [sample.name for sample in source] == ["photos:0", "photos:1", "photos:2"]
    assert source.size_of(0) == source.size_of(1) > 0


def test_a_folder_without_them_is_told(tmp_path: Path) -> None:
    Image.new("RGB", (12, 12)).save(tmp_path / "top.png")
    with pytest.raises(DataError, match="one folder for each label"):
        open_source(tmp_path)


def test_a_folder_of_splits_is_not_taken_for_labels(tmp_path: Path) -> None:
    for name in ("train", "Val"):
        (tmp_path / name / "cat").mkdir(parents=True)
        Image.new("RGB", (12, 12)).save(tmp_path / name / "cat" / "1.png")
    with pytest.raises(DataError, match=r"splits \(Val, train\) and no labels"):
        open_source(tmp_path)
    assert [part.value for part in open_source(tmp_path / "train")[0].turns[1].parts] == ["cat"]
