"""Rows are asked in the languages that the classes are named in."""

from __future__ import annotations

import random

import torch

from lavida.data.corpus import chinese_words
from lavida.text.labels import Label
from lavida.text.tokenizer import Tokenizer
from lavida.train.rows import Feed
from tests.tiny import WORDS

PLAIN = Label(name="tabby", kinds=("cat",))
BOTH = Label(name="tabby", kinds=("cat",), others={"zh": Label(name="虎斑猫", kinds=("猫",))})


def feed(label):
    words = chinese_words([BOTH])
    return Feed(Tokenizer.train(WORDS, 320 + len(words), words), [label], d_model=8)


def test_questions_are_mixed_where_the_classes_have_two_names():
    for label, languages in ((PLAIN, {"en"}), (BOTH, {"en", "zh"})):
        one, rng = feed(label), random.Random(0)
        asked = [q for _ in range(8) for q in one._questions(one.world.scene(rng), rng)]
        assert {q.language for q in asked} == languages


def test_names_in_chinese_prompts_are_found_for_the_grounding_loss():
    one = feed(BOTH)
    rows = one.rows(6, random.Random(1), torch.Generator().manual_seed(1), symbolic=1.0, photos=0.0)
    spoken = set(rows.batch.ids.flatten()[rows.batch.nouns].tolist())
    chinese = {one.tokenizer.encode(word)[0] for word in chinese_words([BOTH])}
    assert spoken & chinese and len(rows.batch.asked) == len(rows.batch.nouns)
