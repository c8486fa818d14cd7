"""Whole and broken sentences."""

import random

import pytest

from lavida.text.labels import Label
from mini.data.languages import LANGUAGES
from mini.data.questions import ask_photo
from mini.data.worlds import SceneSampler
from mini.eval.grammar import is_photo_caption, is_scene_caption, is_well_formed_caption, is_well_formed_name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_caption_of_ours_is_whole(language):
    world, rng, words = SceneSampler.symbolic(), random.Random(1), LANGUAGES[language]
    assert all(is_scene_caption(words.caption(world.scene(rng)), language) for _ in range(200))


@pytest.mark.parametrize(
    "text",
    [
        "", "a cat", "two cat.", "a cats.", "an cat.", "a cat a dog.", "a cat and a cat.", "a cat, a dog.",
        "and a dog.", "a cat and.", "a photo of.", "a cat and a dog and a pig.", "a glasses.",
        "a photo of a, a kind of cat.",
    ],
)  # fmt: skip
def test_broken_captions(text):
    assert not is_well_formed_caption(text)


def test_photo_forms():
    rng, label = random.Random(0), Label(name="tabby", kinds=("cat", "animal"))
    assert is_photo_caption(ask_photo(label, "caption", rng).answer, {"tabby"})
    assert is_photo_caption("a photo of an Egyptian cat, a kind of cat.", {"Egyptian cat"})
    assert not is_photo_caption("a photo of a Egyptian cat.", {"Egyptian cat"})
    assert not is_photo_caption("a photo of a tabby Egyptian.", {"tabby", "Egyptian cat"})
    assert not is_photo_caption("a photo of a cat cat.")


def test_names():
    assert (
        is_well_formed_name("an apple")
        and is_well_formed_name("glasses")
        and is_well_formed_name("a space shuttle", {"space shuttle"})
    )
    assert (
        not is_well_formed_name("apple")
        and not is_well_formed_name("a apple")
        and not is_well_formed_name("a shuttle bus", {"bus"})
    )


def test_chinese_forms():
    label = Label(name="埃及猫", kinds=("猫", "动物"))
    tabby = Label(name="tabby", kinds=("cat",), others={"zh": label})
    said = ask_photo(tabby, "caption", random.Random(0), "zh").answer
    assert said == "照片里是埃及猫，一种猫。" and is_well_formed_caption(said, {"埃及猫"}, "zh")
    assert is_well_formed_name("埃及猫", {"埃及猫"}, "zh") and is_well_formed_name("猫", {"埃及猫"}, "zh")
    assert is_scene_caption("一件和服和一只猫。", "zh")  # the name holds the word for 'and'
    for broken in ("一只猫。一只狗。", "两猫。", "一条猫。", "一只猫和一只猫。", "照片里是埃及。", "a cat.", "一只猫"):
        assert not is_well_formed_caption(broken, {"埃及猫"}, "zh"), broken
