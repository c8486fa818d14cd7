"""Modifiers widen questions and leave their answers as they are."""

import random
import re

import pytest

from mini.natural import modifier_words, wordings_unanswerable
from mini.natural.ask import WEIGHTS, question
from mini.natural.grammar import count_templates, expand, templates
from mini.natural.judge import yes_or_no
from mini.natural.modifiers import LEVELS, MODIFIED, Modifiers, listed, sort_of
from mini.natural.names import COLOURS, NAMES
from mini.natural.phrases import CANNOT_TELL
from mini.natural.truth import Thing, Truth

DOG = Thing("dog", "brown", (0.6, 0.4, 0.95, 0.6), "running")
CAR = Thing("car", "red", (0.0, 0.4, 0.2, 0.6))
TRUTH = Truth((DOG, CAR, Thing("person", None, (0.4, 0.1, 0.5, 0.3), "sitting")), main=0, indoors=False, night=False)
COLOUR_WORDS = {*COLOURS, "grey"}
# Templates of each kind before questions had modifiers: (English, Chinese).
BEFORE = {
    "name": (67, 40), "which": (52, 36), "caption": (75, 57), "presence": (99, 42), "count": (47, 39),
    "count_check": (22, 19), "colour": (34, 33), "colour_main": (12, 14), "colour_check": (20, 25),
    "place": (47, 49), "place_check": (22, 15), "name_at": (13, 21), "choice": (39, 31), "choice_colour": (4, 7),
    "kind": (56, 65), "kind_check": (49, 34), "scene": (51, 43), "scene_check": (22, 18), "daytime": (43, 39),
    "daytime_check": (13, 20), "mono": (28, 34), "mono_check": (15, 28), "brightness_check": (12, 20),
    "doing": (26, 39), "doing_check": (19, 17), "text": (141, 77), "text_check": (118, 39), "sure": (60, 33),
}  # fmt: skip


def asked(kind, truth=TRUTH, language="en", tries=600, seed=0):
    rng = random.Random(f"{kind}{language}{seed}")
    found = [question(truth, kind, rng, language=language) for _ in range(tries)]
    return [q for q in found if q is not None]


@pytest.mark.parametrize("kind", BEFORE)
def test_each_kind_has_twice_the_templates(kind):
    for language, before in zip(("en", "zh"), BEFORE[kind], strict=True):
        assert count_templates(language, kind) >= 2 * before, language


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_seeds_give_the_same_questions(kind, language):
    truth = Truth(TRUTH.things, 0, indoors=True, night=False, brightness="dark", texts=(("STOP", (0, 0, 0.1, 0.1)),))
    assert asked(kind, truth, language, 30) == asked(kind, truth, language, 30)


@pytest.mark.parametrize("kind", ["colour", "colour_main"])
def test_questions_for_a_colour_name_none(kind):
    for q in asked(kind):
        assert not COLOUR_WORDS & set(re.findall(r"[a-z]+", q.question.lower())), q
        assert q.answer in ("brown", "red")
    for q in asked(kind, language="zh"):
        assert not any(word in q.question for word in COLOURS.values()), q


@pytest.mark.parametrize("kind", ["colour_check", "choice_colour"])
def test_questions_about_a_colour_name_only_the_colours_asked_for(kind):
    most = 2 if kind == "choice_colour" else 1
    for q in asked(kind):
        assert len(COLOUR_WORDS & set(re.findall(r"[a-z]+", q.question.lower()))) <= most, q


def test_attributes_hold_no_colour_and_no_number():
    for words in modifier_words.ENGLISH.values():
        assert not (COLOUR_WORDS | {"one", "two", "single", "many"}) & set(listed(words.attributes))
    for words in modifier_words.CHINESE.values():
        assert not any(c in a for a in listed(words.attributes) for c in "红黄蓝绿黑白灰紫粉棕橙一两三")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_distractor_never_decides_about_presence(language):
    only = Truth((DOG, CAR), 0, complete=frozenset({"dog", "car", "cat"}))
    found = asked("presence", only, language, 1500)
    assert any("car" in q.question.lower() or "汽车" in q.question for q in found if q.yes is False)
    for q in found:
        assert yes_or_no(q.answer) is q.yes
        assert q.yes is not ("cat" in q.answer or "猫" in q.answer)


def test_a_named_colour_is_true_where_the_thing_is_there():
    for q in asked("presence", Truth((CAR,), 0, complete=frozenset({"car", "cat"})), tries=1500):
        if q.yes:
            assert not (COLOUR_WORDS - {"red"}) & set(re.findall(r"[a-z]+", q.question.lower())), q


def test_no_colour_is_named_where_things_differ_or_there_are_none():
    two = Truth((CAR, Thing("car", "blue", (0.5, 0, 0.6, 0.1))), 0, complete=frozenset({"car"}))
    grey = Truth((CAR,), 0, monochrome=True, complete=frozenset({"car"}))
    for q in [*asked("count", two), *asked("presence", two), *asked("presence", grey), *asked("count", grey)]:
        assert not COLOUR_WORDS & set(re.findall(r"[a-z]+", q.question.lower())), q


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_question_for_a_place_does_not_tell_one(language):
    rng = random.Random(5)
    modifiers = Modifiers("place", language, TRUTH, rng, "dog", DOG)
    assert not {modifiers.at() for _ in range(2000)} & modifier_words.IN_PICTURE


def test_choices_of_places_are_offered_only_where_they_can_be_answered():
    middle = Truth((Thing("dog", None, (0.4, 0.4, 0.6, 0.6)),), 0)
    choices = re.compile(r"left or (on |to )?the right|top or (to |at )?the bottom|which corner", re.I)
    assert not [q for q in asked("place", middle) if choices.search(q.question)]
    assert [q for q in asked("place") if choices.search(q.question)]


def test_about_half_of_the_questions_stay_plain():
    plain, modified, two = LEVELS
    assert 0.45 < plain / sum(LEVELS) < 0.55 and 0.28 < modified / sum(LEVELS) < 0.38 and two > 0.12 * sum(LEVELS)
    bare = {t.replace("{the}", "car") for line in templates("en", "colour") for t in line if "{vague}" not in t}
    bare = {re.sub(r"@", "photo", t).lower().rstrip("?.") for t in bare if not any(f"{{{m}}}" in t for m in MODIFIED)}
    found = asked("colour", Truth((CAR,), 0), tries=2000)
    same = sum(re.sub("picture|image", "photo", q.question.lower()).rstrip("?.") in bare for q in found)
    assert same / len(found) > 0.1  # those with no slip, no other word for the thing and British spelling


def test_things_may_be_spoken_of_vaguely_only_where_nothing_else_is_meant():
    dogs = Truth((DOG, Thing("cat", "black", (0, 0, 0.1, 0.1))), 0)
    assert not Modifiers("name", "en", dogs, random.Random(1), "dog", DOG).vague()
    assert Modifiers("name", "en", Truth((DOG,), 0), random.Random(1), "dog", DOG).vague()
    second = Truth((DOG, CAR, Thing("book", "blue", (0, 0, 0.1, 0.1))), 0)
    assert not Modifiers("name", "en", second, random.Random(1), "book", second.things[2]).vague()


def test_every_name_has_a_sort_with_words_in_both_languages():
    assert modifier_words.ENGLISH.keys() == modifier_words.CHINESE.keys()
    assert {sort_of(key) for key in NAMES} <= modifier_words.ENGLISH.keys()
    expected = {"dog": "animal", "owl": "bird", "car": "vehicle", "airplane": "aircraft", "banana": "fruit"}
    expected |= {"pizza": "food", "rose": "plant", "lake": "scenery", "cup": "thing", "snake": "reptile"}
    assert {key: sort_of(key) for key in expected} == expected


def test_refusing_depends_on_what_is_asked():
    lines = {k: len({t for line in v for t in expand(line)}) for k, v in wordings_unanswerable.TRAIN.items()}
    assert lines["en"] >= 180 and lines["zh"] >= 120
    found = asked("unanswerable", tries=2000)
    absent = [q for q in found if re.search(r"colou?r", q.question.lower()) and "favourite" not in q.question.lower()]
    assert {q.answer for q in found} == {CANNOT_TELL["en"]} and len(absent) < 0.2 * len(found)
