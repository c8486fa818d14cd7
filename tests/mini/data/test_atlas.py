import pytest

from lavida.errors import DataError
from mini.data.atlas import Atlas
from tests.mini.data.atlases import PAINTS, tiny_atlas


def test_pictures_come_back_with_their_sizes(tmp_path):
    atlas = tiny_atlas(tmp_path)
    assert [row["index"] for row in atlas.rows] == [0, 1, 2, 3]
    assert atlas.image(0).shape == (4, 86, 128) and atlas.image(0) is atlas.image(0)
    assert atlas.background(0).shape == (3, 448, 448)
    assert atlas.photo(0).shape == (3, 48, 64)


def test_colours_survive_the_coding(tmp_path):
    atlas = tiny_atlas(tmp_path)
    assert [row["colour"] for row in atlas.rows] == list(PAINTS)
    middle = atlas.image(0)[:, 43, 64].tolist()
    assert middle == [*PAINTS["red"], 255]


def test_a_negative_background_is_made_from_its_seed(tmp_path):
    atlas = tiny_atlas(tmp_path)
    assert atlas.background(-7).shape == (3, 448, 448)
    assert atlas.background(-7).equal(atlas.background(-7))
    assert not atlas.background(-7).equal(atlas.background(-8))


def test_a_missing_atlas_says_how_to_build_it(tmp_path):
    with pytest.raises(DataError, match="python -m mini build"):
        Atlas.load(tmp_path)


def test_damage_is_told(tmp_path):
    atlas = tiny_atlas(tmp_path)
    (tmp_path / "cutouts.bin").write_bytes(bytes((tmp_path / "cutouts.bin").stat().st_size))
    with pytest.raises(DataError, match="damaged at row 2"):
        atlas.image(2)
    (tmp_path / "cutouts.jsonl").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Atlas.load(tmp_path)
