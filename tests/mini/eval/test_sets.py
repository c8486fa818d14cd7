"""Question sets: balance, seeds, constants."""

import random
from collections import Counter

import pytest

from mini.data.worlds import SceneSampler
from mini.eval.sets import KINDS, balanced, constants, draw_fact, question_set


@pytest.fixture(scope="module")
def scenes():
    world, rng = SceneSampler.symbolic(), random.Random(0)
    return [world.scene(rng) for _ in range(160)]


@pytest.mark.parametrize("kind", ["count", "total", "presence", "side", "above_below", "side_yes_no"])
def test_closed_answers_come_equally_often(scenes, kind):
    counts = Counter(a.question.answer for a in balanced(scenes, kind, 40, seed=1))
    assert len(set(counts.values())) == 1 and len(counts) in (2, 4)


def test_no_colour_takes_more_than_its_share(scenes):
    counts = Counter(a.question.answer for a in balanced(scenes, "colour", 44, seed=1))
    assert max(counts.values()) <= 4


def test_same_seed_same_set(scenes):
    assert balanced(scenes, "where", 30, 3) == balanced(scenes, "where", 30, 3)
    assert balanced(scenes, "where", 30, 3) != balanced(scenes, "where", 30, 4)


def test_every_kind_is_asked_and_fits_its_scene(scenes):
    sets = question_set(scenes, 12, seed=0)
    assert list(sets) == list(KINDS) and all(sets.values())
    assert all(len(scenes[a.picture].objects) == 1 for a in sets["name"])
    assert all(a.question.kind == kind for kind, asked in sets.items() for a in asked)


def test_side_is_split_in_two(scenes):
    rng = random.Random(0)
    kinds = {f.true: k for s in scenes for k in ("side", "above_below") if (f := draw_fact(s, k, rng))}
    assert kinds == {"left": "side", "right": "side", "above": "above_below", "below": "above_below"}


def test_constants_are_the_most_frequent(scenes):
    fixed = constants([s for s in scenes if len(s.objects) == 3], seed=0)
    assert fixed["total"] == "three" and "name" not in fixed


def test_every_language_is_asked_the_same(scenes):
    english, chinese = (question_set(scenes, 12, seed=0, language=code) for code in ("en", "zh"))
    for kind in KINDS:
        assert [(a.picture, a.question.names) for a in english[kind]] == [
            (a.picture, a.question.names) for a in chinese[kind]
        ]
        assert {a.question.language for a in chinese[kind]} == {"zh"}
        assert all(a.question.kind == kind and not a.question.answer.isascii() for a in chinese[kind])
    told = {e.question.answer: c.question.answer for e, c in zip(english["side"], chinese["side"], strict=True)}
    assert told == {"left": "左边", "right": "右边"}
    assert constants(scenes, 0, language="zh")["presence"] in ("有", "没有")
