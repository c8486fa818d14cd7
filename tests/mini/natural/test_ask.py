"""Natural questions: their answers follow from the truth, in one form a kind, in the language of the question."""

import random
import re

import pytest

from mini.natural import ask, wordings_chinese, wordings_english, wordings_unanswerable
from mini.natural.ask import WEIGHTS, question, questions
from mini.natural.asker import Asked
from mini.natural.choose import absent, place_of
from mini.natural.grammar import count_templates, expand, templates
from mini.natural.judge import yes_or_no
from mini.natural.phrases import CANNOT_TELL
from mini.natural.truth import Thing, Truth

FAMILIES = {
    "name": ("name",), "held": ("held",), "side": ("side",), "which": ("which",), "caption": ("caption",),
    "presence": ("presence",),
    "count": ("count", "count_check"), "colour": ("colour", "colour_main", "colour_check", "ground", "ground_check"),
    "place": ("place", "place_check", "name_at"), "choice": ("choice", "choice_colour"), "kind": ("kind", "kind_check"),
    "scene": ("scene", "scene_check"), "daytime": ("daytime", "daytime_check"), "mono": ("mono", "mono_check"),
    "doing": ("doing", "doing_check"), "text": ("text",), "text_check": ("text_check",), "sure": ("sure",),
}  # fmt: skip

DOG = Thing("dog", "brown", (0.6, 0.4, 0.95, 0.6), "running")
TRUTH = Truth(
    (DOG, Thing("car", "red", (0.0, 0.4, 0.2, 0.6)), Thing("person", None, (0.4, 0.1, 0.5, 0.3), "sitting")),
    main=0,
    indoors=False,
    night=False,
    brightness="bright",
    ground="green",
    texts=(("STOP", (0.0, 0.0, 0.1, 0.1)),),
)


GUITARIST = Truth((Thing("person", None, (0.1, 0.1, 0.9, 0.9)), Thing("guitar", "red", (0.3, 0.4, 0.7, 0.7))), main=0)


def asked(kind, truth=None, language="en", tries=200, held_out=False):
    rng = random.Random(kind + language)
    truth = truth or (GUITARIST if kind == "held" else TRUTH)
    found = [question(truth, kind, rng, language=language, held_out=held_out) for _ in range(tries)]
    return [q for q in found if q is not None]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("language", "least", "held"), [("en", 40, 6), ("zh", 25, 4)])
def test_each_kind_has_many_wordings(family, language, least, held):
    assert sum(count_templates(language, kind) for kind in FAMILIES[family]) >= least
    assert all(count_templates(language, kind, True) >= held for kind in FAMILIES[family])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_unanswerable_wordings_are_many(language):
    lines = wordings_unanswerable.TRAIN[language]
    assert len({t for line in lines for t in expand(line)}) >= {"en": 40, "zh": 25}[language]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_held_out_wordings_are_apart(language):
    for kind in wordings_english.TRAIN:
        train = {t.lower() for line in templates(language, kind) for t in line}
        assert not train & {t.lower() for line in templates(language, kind, True) for t in line}, kind


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("held_out", [False, True])
def test_every_kind_is_asked_in_the_language_of_its_answer(kind, language, held_out):
    found = asked(kind, language=language, held_out=held_out)
    assert found
    for q in found:
        assert not re.search(r"[{}@~|\[\]]", q.question + q.answer)
        if kind != "text":
            assert bool(re.search("[一-鿿]", q.answer)) == (language == "zh"), q
        assert bool(re.search("[一-鿿]", q.question)) == (language == "zh"), q


@pytest.mark.parametrize("kind", [k for k in WEIGHTS if k.endswith("_check") or k == "presence"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_yes_and_no_are_said_as_they_are_meant(kind, language):
    found = asked(kind, language=language)
    assert all(yes_or_no(q.answer) is q.yes for q in found)
    if kind not in ("text_check", "count_check"):  # one thing of each name: no number of two or more is right
        assert 0.3 < sum(bool(q.yes) for q in found) / len(found) < 0.7


def test_answers_follow_from_the_truth():
    assert {q.answer for q in asked("name")} == {"a dog"}
    assert {q.answer for q in asked("colour_main")} == {"brown"}
    assert {q.answer for q in asked("colour")} == {"brown", "red"}
    assert {q.answer for q in asked("scene")} == {"outdoors"}
    assert {q.answer for q in asked("text")} == {"It says STOP."}
    assert {q.answer for q in asked("place")} >= {"on the right", "on the left"}
    assert {q.answer for q in asked("which")} <= {"a dog", "a car", "a person"}


def test_what_a_person_holds_is_the_one_other_thing():
    assert {q.answer for q in asked("held")} == {"a guitar"}
    assert not asked("held", TRUTH)  # a dog and a car
    assert any(re.search("(holding|hand|carr)", q.question) for q in asked("held"))


def test_a_side_is_a_half_even_near_the_middle():
    near = Truth((Thing("dog", None, (0.4, 0.4, 0.8, 0.8)),), 0)  # in the middle third
    answers = {q.answer for q in asked("place", near)}
    assert answers == {"on the right"} | {"in the middle"} & answers
    middle = Truth((Thing("dog", None, (0.3, 0.3, 0.7, 0.7)),), 0)
    assert {q.answer for q in asked("place", middle)} == {"in the middle"}


def test_things_that_are_not_named_are_described_by_what_is_true_of_them():
    found = [q for q in asked("which", tries=900) if re.search(r"\bred\b", q.question.lower())]
    assert found and {q.answer for q in found} == {"a car"}


def test_colours_of_a_black_and_white_picture_cannot_be_told():
    grey = Truth((DOG,), 0, monochrome=True)
    assert not asked("colour", grey) and not asked("colour_check", grey)
    assert {q.answer for q in asked("unanswerable", grey)} == {CANNOT_TELL["en"]}


def test_absence_is_claimed_only_where_it_is_certain():
    partial = Truth((DOG,), 0, complete=frozenset({"cat", "dog"}))
    noes = [q for q in asked("presence", partial) if q.yes is False]
    assert noes and {q.answer for q in noes} == {"No, there is no cat."}
    assert not [q for q in asked("presence", Truth((DOG,), 0, complete=False)) if q.yes is False]
    assert all(q.answer in ("one dog", "no cats") for q in asked("count", partial))


def test_what_may_be_there_is_never_denied():
    rng = random.Random(1)
    lion = Truth((Thing("lion", None, (0, 0, 1, 1)), Thing("person", None, (0, 0, 1, 1))), 0)
    drawn = {absent(lion, rng) for _ in range(3000)}
    assert not drawn & {"cat", "animal", "lion", "kitten", "person", "shirt", "hat"}
    assert len(drawn) > 100


def test_two_of_one_name_are_not_asked_about_as_one():
    two = Truth((DOG, Thing("dog", "white", (0, 0, 0.2, 0.2))), None)
    assert not asked("colour", two) and not asked("place", two) and not asked("doing", two)
    assert {q.answer for q in asked("count", two)} >= {"two dogs", "two animals"}


def test_places_near_a_border_have_no_name():
    assert place_of(Thing("dog", None, (0.3, 0.3, 0.36, 0.7))) is None
    assert place_of(Thing("dog", None, (0.0, 0.0, 0.2, 0.2))) == "top left"
    assert place_of(Thing("dog", None, (0.1, 0.05, 0.9, 0.95))) == ""


def test_questions_differ_and_are_reproducible():
    def drawn():
        return questions(TRUTH, random.Random(3), count=20, language="en")

    assert drawn() == drawn()
    assert len({q.question.lower() for q in drawn()}) == 20


def test_the_wordings_of_both_languages_have_the_same_kinds():
    assert (
        wordings_english.TRAIN.keys()
        == wordings_english.HELD_OUT.keys()
        == wordings_chinese.TRAIN.keys()
        == wordings_chinese.HELD_OUT.keys()
    )


def test_no_question_of_split_v_is_ever_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter(["What animal is standing on the grass?", "what animal is standing on the grass", "What is it?"] * 20)
    monkeypatch.setattr(
        ask, "question", lambda *args, **kw: Asked(kind="name", language="en", question=next(asked), answer="a dog")
    )
    found = ask.questions(Truth(things=()), random.Random(0), count=3, language="en")
    assert [q.question for q in found] == ["What is it?"]
