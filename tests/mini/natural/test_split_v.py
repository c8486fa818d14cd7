"""Split (v) and its judge."""

import json
import re

import pytest

from lavida.errors import DataError
from mini.data.photos import _OPENCV
from mini.natural import wordings_unanswerable
from mini.natural.evaluate import constants
from mini.natural.grammar import LANGUAGES, expand, templates
from mini.natural.judge import ROWS, first_number, judge, says_cannot, yes_or_no
from mini.natural.names import ACTIONS, COLOURS, NAMES
from mini.natural.photos import PhotoQuestion, fetch_photographs, load_split
from mini.natural.phrases import NUMBERS, PLACES

PHOTOGRAPHS, QUESTIONS = load_split()


def test_the_split_is_as_large_and_balanced_as_it_says():
    assert len(PHOTOGRAPHS) >= 40 and len(QUESTIONS) >= 150
    assert {q.photo for q in QUESTIONS} == {p.name for p in PHOTOGRAPHS}
    assert {q.kind for q in QUESTIONS} == ROWS.keys()
    presence = [q for q in QUESTIONS if q.kind == "presence"]
    assert abs(sum(bool(q.yes) for q in presence) / len(presence) - 0.5) < 0.05
    assert 0.2 < sum(q.language == "zh" for q in QUESTIONS) / len(QUESTIONS) < 0.3
    assert sum(q.kind == "unanswerable" for q in QUESTIONS) >= 15
    assert len({(q.photo, q.question) for q in QUESTIONS}) == len(QUESTIONS)


def test_none_of_its_photographs_is_trained_on_or_belongs_to_the_other_test():
    for photograph in PHOTOGRAPHS:
        assert photograph.package.startswith(("pypi:", "npm:"))
        assert not re.search("opencv|gradio|imgaug|ultralytics|stdlib", photograph.package)
        assert photograph.member.rsplit("/", 1)[-1] not in _OPENCV


def test_every_question_has_an_answer_that_its_judge_accepts():
    for q in QUESTIONS:
        if q.kind == "unanswerable":
            assert not q.accept and q.yes is None
            assert judge(q, "看图无法判断。" if q.language == "zh" else "I cannot tell from the picture.").right
        elif q.yes is not None:
            words = ("有。", "没有。") if q.language == "zh" else ("Yes.", "No.")
            assert judge(q, words[not q.yes]).right and not judge(q, words[q.yes]).right
        else:
            assert q.accept and all(judge(q, word).right for word in q.accept), q
            assert not any(judge(q, word).right for word in q.reject), q


def _pattern(template, language):
    """Return a regular expression for what a template can ask."""
    out = ""
    for part in re.split(r"(\{[\w/]+\}|@)", template.lower().replace("colour", "color")):
        if part == "@":
            out += "(?:" + "|".join(sorted(set(LANGUAGES[language].PICTURE), key=len, reverse=True)) + ")"
        elif part.startswith("{"):
            out += "(.+)"
        else:
            out += re.escape(_bare(part, language))
    return re.compile(out)


def _bare(text, language):
    text = text.lower().replace("colour", "color").replace("what's", "what is")
    return re.sub(r"[^\w ]+", "", text) if language == "en" else re.sub(r"\W+", "", text)


def _known():
    """Return all that may stand in a slot."""
    words = {w for n in NAMES.values() for w in (n.chinese, *n.chinese_synonyms, n.measure)}
    for name in NAMES.values():
        texts = [name.text, name.plural, *(w for pair in name.synonyms for w in pair), name.bare]
        words |= {w for text in texts for w in (text.lower(), f"a {text}".lower(), f"an {text}".lower()) if text}
    words |= {*NUMBERS["en"], *NUMBERS["zh"]} | {*COLOURS, *COLOURS.values()}
    words |= {*ACTIONS, *ACTIONS.values()} | {w for pair in PLACES.values() for w in pair}
    fillers = wordings_unanswerable.FILLERS
    return words | {w.lower() for language in fillers.values() for group in language.values() for w in group}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_question_is_worded_as_training_words_it(language):
    train = [t for kind in LANGUAGES[language].TRAIN for line in templates(language, kind) for t in line]
    train += [t for line in wordings_unanswerable.TRAIN[language] for t in expand(line)]
    patterns, known = [_pattern(t, language) for t in train], _known()
    for q in QUESTIONS:
        if q.language == language:
            asked = _bare(q.question, language)
            found = [m for p in patterns if (m := p.fullmatch(asked)) and all(g in known for g in m.groups())]
            assert not found, (q.question, found[0].re.pattern)


@pytest.mark.parametrize(
    ("kind", "language", "accept", "reject", "yes", "answer", "right"),
    [
        ("presence", "en", (), (), True, "Yes, there is a dog.", True),
        ("presence", "en", (), (), True, "There is a dog.", True),
        ("presence", "en", (), (), True, "No, there is no dog.", False),
        ("presence", "en", (), (), False, "There is no dog.", True),
        ("presence", "en", (), (), False, "a dog", False),
        ("presence", "en", (), (), False, "没有", False),
        ("presence", "zh", (), (), False, "没有，图里没有狗。", True),
        ("presence", "zh", (), (), True, "有，图里有狗。", True),
        ("name", "en", ("dog",), (), None, "two dogs", True),
        ("name", "en", ("dog",), (), None, "a hotdog", False),
        ("name", "en", ("dog",), (), None, "I cannot tell from the picture.", False),
        ("name", "zh", ("狗",), (), None, "a dog", False),
        ("colour", "en", ("gray",), (), None, "It is grey.", True),
        ("colour", "en", ("red",), (), None, "blue and red", False),
        ("colour", "zh", ("红",), (), None, "红色", True),
        ("count", "en", ("2",), (), None, "two birds", True),
        ("count", "en", ("0",), (), None, "no birds", True),
        ("count", "zh", ("2",), (), None, "两只鸟", True),
        ("count", "en", ("2",), (), None, "three", False),
        ("place", "en", ("left",), ("right",), None, "on the left", True),
        ("place", "en", ("left",), ("right",), None, "left or right", False),
        ("doing", "en", ("smil",), (), None, "He is smiling.", True),
        ("unanswerable", "en", (), (), None, "I don't know.", True),
        ("unanswerable", "en", (), (), None, "a dog", False),
        ("unanswerable", "zh", (), (), None, "I cannot tell from the picture.", False),
        ("name", "en", ("photo",), (), None, "a photo of", False),
        ("name", "en", ("dog",), (), None, "", False),
    ],
)
def test_judge(kind, language, accept, reject, yes, answer, right):
    question = PhotoQuestion(
        photo="p", kind=kind, language=language, question="?", accept=accept, reject=reject, yes=yes
    )
    assert judge(question, answer).right is right


def test_parts_of_the_judge():
    assert yes_or_no("maybe") is None and yes_or_no("I cannot tell from the picture.") is None
    assert first_number("a dog") == 1 and first_number("没有狗") == 0 and first_number("many") is None
    assert says_cannot("看图无法判断。") and not says_cannot("I can see a dog.")


def test_a_constant_answer_does_not_reach_the_aims():
    rows = constants()
    assert rows["overall"][0] / rows["overall"][1] < 0.55
    assert rows["presence"][0] / rows["presence"][1] < 0.65


def test_another_photograph_under_the_same_name_is_refused(tmp_path):
    photograph = PHOTOGRAPHS[0]
    path = photograph.path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="SHA-256"):
        fetch_photographs([photograph], tmp_path)


def test_a_damaged_split_is_one_line(tmp_path):
    (tmp_path / "v.json").write_text(json.dumps({"photographs": [], "questions": [{"photo": "x"}]}))
    with pytest.raises(DataError, match="cannot read"):
        load_split(tmp_path / "v.json")


def test_the_section_of_the_card_tells_every_row_and_draws_failures_blindly():
    from mini.natural.evaluate import Judged, section, table

    _, questions = load_split()
    judged = [Judged(question=q, answer="No. | x", verdict=judge(q, "No.")) for q in questions]
    columns = {"model": table(judged), "best constant of each kind": table(judged)}
    text = section(judged, columns)
    assert "| aim | |" in text and text.count("| No. \\| x |") == 40 and text == section(judged, columns)
    right, asked = columns["model"]["overall"]
    assert f"{right} of {asked} (**{right / asked:.2f}**)" in text and "missed" in text and "reached" in text
