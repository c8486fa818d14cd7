"""Rows are asked in the languages that the classes are named in."""

from __future__ import annotations

import random

import torch

from lavida.text.labels import Label
from lavida.text.tokenizer import Tokenizer
from mini.data.cells import CellWords, centre_offsets
from mini.data.corpus import chinese_words
from mini.data.features import PictureRecord
from mini.data.scenes import Placed, Scene
from mini.train.batches import IGNORED, BatchBuilder
from tests.tiny import WORDS

PLAIN = Label(name="tabby", kinds=("cat",))
BOTH = Label(name="tabby", kinds=("cat",), others={"zh": Label(name="虎斑猫", kinds=("猫",))})


def builder(label):
    words = chinese_words([BOTH])
    return BatchBuilder(Tokenizer.train(WORDS, 320 + len(words), words), [label], d_model=8)


def test_questions_are_mixed_where_the_classes_have_two_names():
    for label, languages in ((PLAIN, {"en"}), (BOTH, {"en", "zh"})):
        one, rng = builder(label), random.Random(0)
        asked = [q for _ in range(8) for q in one._questions(one.sampler.scene(rng), rng)]
        assert {q.language for q in asked} == languages


def test_names_in_chinese_prompts_are_found_for_the_grounding_loss():
    one = builder(BOTH)
    rows = one.batch(6, random.Random(1), torch.Generator().manual_seed(1), symbolic=1.0, photos=0.0)
    spoken = set(rows.packed.ids.flatten()[rows.packed.name_positions].tolist())
    chinese = {one.tokenizer.encode(word)[0] for word in chinese_words([BOTH])}
    assert spoken & chinese and len(rows.packed.names) == len(rows.packed.name_positions)


def test_a_name_is_told_with_its_number_and_its_centres_and_each_cell_the_way_to_its_own():
    def placed(x):
        return Placed(cutout=0, name="cat", colour=None, x=x, y=0.5, w=0.25, h=0.25)

    scene = Scene(objects=(placed(0.25), placed(0.75)), background=-1)
    offsets = centre_offsets(scene)
    shown = CellWords(builder(PLAIN).tokenizer)(scene)
    centres = shown[:, 2].nonzero().flatten()
    assert len(centres) == 4  # two in the global view, two in the map of tiles
    assert torch.equal(offsets[centres], torch.full((4, 2), -0.5))  # each lies on the corner of four cells
    left = 16 + 3 * 8 + 1  # the cell up and left of the first centre in the map
    assert offsets[left].tolist() == [0.5, 0.5] and offsets[0].tolist() == [0.0, 0.0]
    one = builder(PLAIN)
    one.drawn = [(Fake(scene), 0)]
    rows = one.batch(3, random.Random(0), torch.Generator().manual_seed(0), symbolic=0.0, photos=0.0)
    cats = torch.tensor([name == "cat" for _, name in rows.packed.names])
    assert cats.any() and (rows.counts == torch.where(cats, 2, 0)).all()
    assert (rows.name_centres.sum(1) == torch.where(cats, 4.0, 0.0)).all() and (
        rows.name_centres <= rows.name_cells
    ).all()
    symbolic = one.batch(3, random.Random(0), torch.Generator().manual_seed(0), symbolic=1.0, photos=0.0)
    assert len(symbolic.counts) and (symbolic.counts == IGNORED).all()  # in words, two that touch look like one


def test_a_name_that_is_not_the_pictures_is_also_copied_before_views_of_several():
    one = builder(PLAIN)
    one.photos = Fake(None, n=4)
    one.drawn = [(one.photos, 0)]  # never drawn from: all rows are to be photographs
    own, mixed = 0, 0
    for seed in range(40):
        rows = one.batch(1, random.Random(seed), torch.Generator().manual_seed(0), symbolic=0.0, photos=1.0)
        shown = rows.maps[0, :, 0, 0].tolist()  # the photograph that each view is of
        own += len(set(shown)) == 1
        mixed += len(set(shown)) > 1
    assert 15 < own < 35 and mixed == 40 - own  # .675 of the rows copy, half of those see several


class Fake:
    """Features of one scene, or of n photographs whose maps tell their numbers."""

    def __init__(self, scene, n=1):
        self.records = [PictureRecord(scene=scene, label=0, probability=0.9, source="")] * n
        self.maps = torch.arange(float(n))[:, None, None, None].expand(n, 5, 196, 80)

    def __len__(self):
        return len(self.records)
