"""Whole and broken sentences."""

import random

import pytest

from lavida.data.questions import ask_photo, caption
from lavida.data.worlds import World
from lavida.eval.grammar import caption_is_whole, name_is_whole, photo_caption, scene_caption
from lavida.text.labels import Label


def test_every_caption_of_ours_is_whole():
    world, rng = World.symbolic(), random.Random(1)
    assert all(scene_caption(caption(world.scene(rng))) for _ in range(200))


@pytest.mark.parametrize(
    "text",
    [
        "", "a cat", "two cat.", "a cats.", "an cat.", "a cat a dog.", "a cat and a cat.", "a cat, a dog.",
        "and a dog.", "a cat and.", "a photo of.", "a cat and a dog and a pig.", "a glasses.",
        "a photo of a, a kind of cat.",
    ],
)  # fmt: skip
def test_broken_captions(text):
    assert not caption_is_whole(text)


def test_photo_forms():
    rng, label = random.Random(0), Label(name="tabby", kinds=("cat", "animal"))
    assert photo_caption(ask_photo(label, "caption", rng).answer, {"tabby"})
    assert photo_caption("a photo of an Egyptian cat, a kind of cat.", {"Egyptian cat"})
    assert not photo_caption("a photo of a Egyptian cat.", {"Egyptian cat"})
    assert not photo_caption("a photo of a tabby Egyptian.", {"tabby", "Egyptian cat"})
    assert not photo_caption("a photo of a cat cat.")


def test_names():
    assert (
        name_is_whole("an apple") and name_is_whole("glasses") and name_is_whole("a space shuttle", {"space shuttle"})
    )
    assert not name_is_whole("apple") and not name_is_whole("a apple") and not name_is_whole("a shuttle bus", {"bus"})
