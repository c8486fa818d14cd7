import bz2
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavida.errors import DataError
from mini.data.testphotos import MEMBERS, extract_test_photos


def fill(folder: Path, members: list[str]) -> Path:
    for member in members:
        path = folder / member
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".dat":
            path.write_bytes(bz2.compress(bytes(1024 * 768 * 3)))
        else:
            Image.fromarray(np.zeros((30, 40), np.uint8)).save(path)
    return folder


def test_every_photograph_has_acceptable_names(tmp_path):
    folders = {package: fill(tmp_path / str(k), members) for k, (package, members) in enumerate(MEMBERS.items())}
    names = extract_test_photos(folders, tmp_path / "out")
    answers = json.loads(files("mini.eval").joinpath("photos.json").read_text())
    assert sorted(names) == sorted(row["file"] for row in answers) and len(names) == 23
    assert all(row["names"] and row["kinds"] for row in answers)
    assert Image.open(tmp_path / "out" / "face.jpg").size == (1024, 768)
    assert all(Image.open(path).mode == "RGB" for path in (tmp_path / "out").iterdir())


def test_a_package_without_its_photograph_is_told(tmp_path):
    with pytest.raises(DataError, match=r"china\.jpg"):
        extract_test_photos(dict.fromkeys(MEMBERS, tmp_path), tmp_path / "out")
