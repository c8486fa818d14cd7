"""Every language asks about the same facts; Chinese names are one each and fit their measure words."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from lavida.errors import RequestError
from lavida.text.labels import Label
from mini.data import chinese, english
from mini.data.chinese_names import COLOURS, KINDS, NAMES
from mini.data.concepts import COLOURS as ENGLISH_COLOURS
from mini.data.concepts import CONCEPTS
from mini.data.concepts import KINDS as ENGLISH_KINDS
from mini.data.facts import DRAW, WORDINGS, Fact, place
from mini.data.imagenet_classes import KIND_WORDS
from mini.data.languages import LANGUAGES, find_language
from mini.data.questions import ask, ask_photo, phrase
from mini.data.scenes import Placed, Scene
from mini.data.worlds import SceneSampler


def thing(name, x, y, colour="red"):
    return Placed(cutout=0, name=name, colour=colour, x=x, y=y, w=0.2, h=0.2)


SCENE = Scene(objects=(thing("cat", 0.1, 0.5), thing("owl", 0.9, 0.5, None), thing("cat", 0.5, 0.1)), background=-1)


def test_chinese_captions():
    assert chinese.caption(SCENE) == "两只猫和一只猫头鹰。"
    assert chinese.detailed(SCENE) == "左边一只红色的猫，上边一只红色的猫，右边一只猫头鹰。"
    assert len(set(chinese.references(SCENE))) >= 5


def test_every_concept_kind_and_colour_has_a_name_of_its_own():
    assert set(NAMES) == set(CONCEPTS) and set(COLOURS) == set(ENGLISH_COLOURS)
    nouns = Counter(noun for noun, _ in NAMES.values())
    assert max(nouns.values()) == 1
    kinds = [chinese.kind_name(k) for k in {*ENGLISH_KINDS, *KIND_WORDS.values()}]
    assert len(set(kinds)) == len(kinds) and not set(KINDS.values()) & set(nouns)


@pytest.mark.parametrize("language", LANGUAGES)
def test_wordings(language):
    for kind, n in WORDINGS.items():
        facts = [Fact(kind=kind, scene=SCENE, names=("cat", "owl"), variant=v) for v in range(n)]
        assert len({LANGUAGES[language].prompt(f) for f in facts}) == n


def test_the_same_draw_is_the_same_fact_in_both_languages():
    world = SceneSampler.symbolic()
    rngs, seen = [random.Random(5) for _ in LANGUAGES], Counter()
    back = {noun: name for name, (noun, _) in NAMES.items()}
    for _ in range(120):
        scene = [world.scene(rng) for rng in rngs][0]
        for kind in DRAW:
            en, zh = (ask(scene, kind, rng, code) for rng, code in zip(rngs, LANGUAGES, strict=True))
            assert (en is None) == (zh is None)
            if en is None:
                continue
            seen[kind] += 1
            assert en.names == zh.names and zh.language == "zh" and not zh.answer.isascii()
            assert all(NAMES[name][0] in zh.prompt for name in zh.names)
            if kind == "json":
                assert {back[k]: v for k, v in json.loads(zh.answer).items()} == json.loads(en.answer)
            elif kind in ("name", "name_at", "next_to"):
                assert english.one(back[zh.answer]) == en.answer
            elif kind in ("count", "total"):
                assert chinese.NUMBERS.index(zh.answer[0]) == english.NUMBERS.index(en.answer)
            elif kind in ("presence", "side_yes_no"):
                assert (zh.answer in ("有", "是")) == (en.answer == "yes")
            elif kind == "side":
                assert zh.answer in zh.prompt
            elif kind == "colour":
                assert COLOURS[en.answer] == zh.answer
    assert set(seen) == set(DRAW)
    assert rngs[0].random() == rngs[1].random()


def test_a_place_has_one_word_in_each_language():
    spots = [thing("cat", x, y) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)]
    for code in LANGUAGES:
        facts = [Fact(kind="where", names=("cat",), true=place(o)) for o in spots]
        assert len({phrase(f, code).answer for f in facts}) == 9


def test_a_photograph_without_a_chinese_name_keeps_its_english_one():
    plain = Label(name="tench", kinds=("fish", "thing"))
    assert ask_photo(plain, "name", random.Random(0), "zh").answer == "tench"
    named = Label(name="tench", kinds=("fish",), others={"zh": Label(name="丁鲷", kinds=("鱼", "动物"))})
    assert ask_photo(named, "kind", random.Random(0), "zh").answer == "鱼"
    asked = {ask_photo(named, "presence", random.Random(s), "zh") for s in range(60)}
    assert {q.prompt for q in asked if q.answer == "有"} == {"有丁鲷吗？", "有鱼吗？", "有动物吗？"}
    assert all(q.answer in ("有", "没有") for q in asked)


def test_unknown_language():
    with pytest.raises(RequestError, match="choose one of en, zh"):
        find_language("fr")
