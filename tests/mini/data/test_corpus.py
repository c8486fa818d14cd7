"""What the next model's tokenizer is made of: names of both languages are one token each, after a space and without."""

from __future__ import annotations

import random

import pytest

from lavida.text.labels import Label
from lavida.text.tokenizer import Tokenizer
from mini.data import chinese
from mini.data.chinese_names import NAMES
from mini.data.concepts import CONCEPTS
from mini.data.corpus import VOCABULARY, chinese_words, corpus
from mini.data.facts import DRAW
from mini.data.questions import ask, ask_photo
from mini.data.worlds import SceneSampler

TABBY = Label(name="tabby", kinds=("cat",), others={"zh": Label(name="虎斑猫", kinds=("猫", "动物"))})


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(corpus([TABBY], ["a cat that is striped"], scenes=20), 4200, chinese_words([TABBY]))


def test_names_are_one_token_in_both_languages(tokenizer):
    bare = tokenizer.backend()  # without the space before every text
    names = [*CONCEPTS, *(noun for noun, _ in NAMES.values()), *chinese.COLOURS.values(), "虎斑猫"]
    assert [n for n in names if len(tokenizer.encode(n)) != 1] == []
    assert [n for n in names if len(bare.encode(n, add_special_tokens=False).ids) != 1] == []
    assert [c.plural for c in CONCEPTS.values() if len(tokenizer.encode(c.plural)) != 1] == []
    assert VOCABULARY <= 12_000


def test_chinese_questions_are_made_of_given_words_only(tokenizer):
    given = {tokenizer.encode(word)[0] for word in chinese_words([TABBY])}
    world, rng, longest = SceneSampler.symbolic(), random.Random(0), 0
    for _ in range(150):
        scene = world.scene(rng)
        asked = [q for kind in DRAW if kind != "json" and (q := ask(scene, kind, rng, "zh"))]
        asked += [ask_photo(TABBY, kind, rng, "zh") for kind in ("caption", "name", "kind", "presence")]
        for q in asked:
            ids = tokenizer.encode(q.prompt), tokenizer.encode(q.answer)
            assert set(ids[0]) | set(ids[1]) <= given, q
            assert (tokenizer.decode(ids[0]), tokenizer.decode(ids[1])) == (q.prompt, q.answer)
            assert all(tokenizer.encode(NAMES[name][0])[0] in ids[0] for name in q.names), q
            longest = max(longest, len(ids[1]) if q.kind == "caption" else 0)
    assert longest == 16  # the canvas of a caption
