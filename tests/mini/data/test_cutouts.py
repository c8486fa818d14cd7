from collections import Counter

import pytest
from PIL import Image

from mini.data.cutouts import (
    assign_splits,
    drop_repeats,
    drop_wrong,
    encode,
    group_of,
    make_cutouts,
    thumbnail,
    trim,
)
from tests.mini.data.atlases import PAINTS, drawing, found

SHAPES = ("ellipse", "rectangle")


def concept(name, styles, paint=0):
    """One distinct drawing for each style."""
    sizes = [(90, 60), (60, 120), (120, 30), (40, 40), (100, 100), (30, 150), (150, 50), (70, 90)]
    paints = list(PAINTS.values())
    return [
        found(name, style, drawing(paints[(k + paint) % 4], "ellipse", sizes[k % len(sizes)]))
        for k, style in enumerate(styles)
    ]


def test_trim_keeps_the_shape_and_drops_what_is_no_cutout():
    assert trim(drawing((255, 0, 0))).size == (128, 86)
    assert trim(Image.new("RGBA", (100, 100), (0, 0, 0, 0))) is None
    assert trim(Image.new("RGBA", (100, 100), (9, 9, 9, 255))) is None
    assert trim(drawing((255, 0, 0), size=(10, 10))) is None


def test_a_clear_edge_keeps_its_colour():
    edge = trim(drawing((255, 0, 0))).getpixel((0, 43))
    assert edge[1] <= 2 and edge[2] <= 2


def test_encode_is_lossless_when_small():
    picture = trim(drawing((12, 200, 99)))
    import io

    assert Image.open(io.BytesIO(encode(picture))).convert("RGBA").getpixel((64, 43)) == (12, 200, 99, 255)


def test_thumbnails_stand_on_gray():
    thumb = thumbnail(trim(drawing((255, 0, 0))))
    assert thumb.shape == (24, 24, 3)
    assert thumb[0, 0].tolist() == [128, 128, 128]


def test_the_same_drawing_twice_in_a_style_counts_once():
    twice = make_cutouts([found("ball", "noto", drawing((255, 0, 0)), c) for c in "ab"])
    assert len(drop_repeats(twice)) == 1


def test_splits_keep_groups_together_and_enough_to_train_on():
    styles = ["noto", "noto-v1", "openmoji", "fluent-emoji", "fluent-emoji-flat", "fxemoji", "twemoji"]
    names = [f"thing{k}" for k in range(60)]
    cutouts = assign_splits(make_cutouts(f for k, n in enumerate(names) for f in concept(n, styles, k)))
    split = {(c.row["concept"], c.row["style"]): c.row["split"] for c in cutouts}
    counts = Counter(split.values())
    assert counts["heldout_style"] and counts["heldout_image"] and counts["train"]
    assert 0.05 < counts["heldout_image"] / (counts["heldout_image"] + counts["train"]) < 0.2
    for name in names:
        assert sum(split.get((name, style)) == "train" for style in styles) >= 3
        assert split.get((name, "twemoji"), "heldout_style") == "heldout_style"
        for style in styles[:-1]:
            group = {split[name, s] for s in styles if group_of(s) == group_of(style) and (name, s) in split}
            assert len(group) <= 1
    again = assign_splits(make_cutouts(f for k, n in enumerate(names) for f in concept(n, styles, k)))
    assert [c.row for c in again] == [c.row for c in cutouts]


def test_a_held_out_copy_of_a_training_drawing_is_dropped():
    items = concept("ball", ["noto", "openmoji", "fxemoji", "emojione"])
    copy = found("ball", "twemoji", items[0].picture)
    kept = assign_splits(make_cutouts([*items, copy]))
    assert "twemoji" not in {c.row["style"] for c in kept if c.row["split"] != "train"} or len(kept) == 5
    trained = [c for c in kept if c.row["style"] == "noto" and c.row["split"] == "train"]
    if trained:
        assert all(c.row["style"] != "twemoji" for c in kept)


@pytest.mark.parametrize("name", ["otter", "mirror"])
def test_unseen_concepts_are_never_trained_on(name):
    kept = assign_splits(make_cutouts(concept(name, ["noto", "openmoji", "twemoji"])))
    assert {c.row["split"] for c in kept} == {"unseen_concept"}


def test_known_mistakes_keep_their_row_but_leave_the_splits():
    kept = make_cutouts([found("turkey", "streamline-emojis", drawing((255, 0, 0)))])
    kept[0].row["split"] = "train"
    drop_wrong(kept)
    assert kept[0].row["split"] == "dropped"
