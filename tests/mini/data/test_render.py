import pytest
import torch

from mini.data.render import hue_colour, render, render_scene
from mini.data.scenes import Placed, Scene
from tests.mini.data.atlases import tiny_atlas

GRAY = torch.full((3, 448, 448), 128, dtype=torch.uint8)


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    return tiny_atlas(tmp_path_factory.mktemp("atlas"))


def one(cutout=0, **kw):
    box = {"x": 0.5, "y": 0.5, "w": 0.4, "h": 0.4 * 86 / 128} | kw
    return Placed(cutout=cutout, name="ball", colour=None, **box)


def changed(picture, background=GRAY):
    """The bounding box of what is not background: left, top, right, bottom."""
    differs = ((picture.int() - picture[:, :1, :1].int()).abs() > 25).any(0).nonzero()
    return [int(v) for v in (differs[:, 1].min(), differs[:, 0].min(), differs[:, 1].max(), differs[:, 0].max())]


def scene(*objects, **kw):
    return Scene(objects=objects, background=0, **kw)


def test_a_box_is_where_the_scene_says(atlas):
    picture = render(scene(one(x=0.3, y=0.6)), atlas, GRAY, 0)
    assert picture.shape == (3, 448, 448) and picture.dtype == torch.uint8
    left, top, right, bottom = changed(picture)
    assert abs((left + right) / 2 - 0.3 * 448) < 2 and abs((top + bottom) / 2 - 0.6 * 448) < 2
    assert abs(right - left - 0.4 * 448) < 5 and abs(bottom - top - 0.4 * 448 * 86 / 128) < 5


def test_a_quarter_turn_swaps_the_sides(atlas):
    left, top, right, bottom = changed(render(scene(one(rotation=90.0)), atlas, GRAY, 0))
    assert abs(bottom - top - 0.4 * 448) < 5 and abs(right - left - 0.4 * 448 * 86 / 128) < 5


def test_turns_are_counter_clockwise(atlas):
    picture = render(scene(one(rotation=30.0, w=0.6, h=0.1)), atlas, GRAY, 0)
    red = picture[1] < 80
    assert red[:224, 224:].sum() > 5 * red[:224, :224].sum()


def test_later_objects_hide_earlier_ones(atlas):
    picture = render(scene(one(0), one(2)), atlas, GRAY, 0)
    r, _, b = picture[:, 224, 224].tolist()
    assert b > 150 and r < 80


def test_an_object_beyond_the_edge_is_cut(atlas):
    picture = render(scene(one(x=0.0), one(x=3.0)), atlas, GRAY, 0)
    assert changed(picture)[0] == 0 and changed(picture)[2] < 0.25 * 448


def test_the_same_seed_gives_the_same_pixels(atlas):
    s = scene(one(hue=70.0, blur=1.0, flip=True), jpeg=60)
    assert render(s, atlas, GRAY, 3).equal(render(s, atlas, GRAY, 3))
    assert not render(s, atlas, GRAY, 3).equal(render(s, atlas, GRAY, 4))


def test_blur_softens(atlas):
    sharp, soft = (render(scene(one(blur=b)), atlas, GRAY, 0).float() for b in (0.0, 3.0))
    assert soft[:, 224].diff(dim=1).abs().max() < sharp[:, 224].diff(dim=1).abs().max() / 2


def test_the_background_is_left_alone(atlas):
    before = atlas.background(0).clone()
    render_scene(scene(one()), atlas, 0)
    assert atlas.background(0).equal(before)


def test_the_name_of_a_turned_colour_is_the_drawn_one(atlas):
    assert hue_colour(atlas, atlas.rows[0], 0.0) == "red"
    turned = hue_colour(atlas, atlas.rows[0], 120.0)
    assert turned not in (None, "red")
    r, g, b = render(scene(one(hue=120.0)), atlas, GRAY, 0)[:, 224, 224].tolist()
    assert {"green": g, "blue": b}[turned] == max(r, g, b)
