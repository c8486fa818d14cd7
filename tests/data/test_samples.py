"""Entries of every form become the same dialogue; each fault of an entry is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavida.data.samples import CAPTION, BrokenSample, Sample, read_sample
from tests.data.sets import talk


def read(record: Any) -> Sample:
    return read_sample(record, "set:0", lambda value: Path("shown") / value)


def flat(sample: Sample) -> list[tuple[str, list[Any]]]:
    return [(turn.role, [part.value for part in turn.parts]) for turn in sample.turns]


CAT = Path("shown/cat.png")
DOG = Path("shown/dog.png")
SAME = [
    {"image": "cat.png", "conversations": talk("<image>\nWhat?", "A cat.")},
    {"image": ["cat.png"], "conversations": talk("What?\n<image>", "A cat."), "id": 7, "width": 30},
    {"image": "cat.png", "conversations": talk("What?", "A cat.")},
    {"image": "cat.png", "conversations": [{"from": "gpt", "value": "Hello!"}, *talk("What?", "A cat.")]},
    {
        "images": ["cat.png"],
        "messages": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A cat."}],
    },
    {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "image": "cat.png"}, {"type": "text", "text": "What?"}],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
        ]
    },
    {"images": ["cat.png"], "texts": [{"user": "What?", "assistant": "A cat.", "source": "x"}]},
    {"image": "cat.png", "question": "What?", "answer": "A cat."},
]


@pytest.mark.parametrize("record", SAME, ids=range(len(SAME)))
def test_every_form_says_the_same(record: dict[str, Any]) -> None:
    assert flat(read(record)) == [("user", [CAT, "What?"]), ("assistant", ["A cat."])]


def test_a_caption_answers_the_usual_question() -> None:
    sample = read({"image": "cat.png", "caption": "A cat on a mat."})
    assert flat(sample) == [("user", [CAT, CAPTION]), ("assistant", ["A cat on a mat."])]


def test_a_plain_text_answers_nothing() -> None:
    sample = read({"text": "A cat sat.", "source": "web"})
    assert sample.is_text and flat(sample) == [("assistant", ["A cat sat."])]
    assert not read({"caption": "A cat.", "text": "more", "image": "cat.png"}).is_text


def test_several_pictures_stand_where_their_marks_are() -> None:
    record = {
        "image": ["cat.png", "dog.png"],
        "conversations": talk("This: <image>", "A cat.", "And <image> this?", "A dog."),
    }
    asked = [parts for role, parts in flat(read(record)) if role == "user"]
    assert asked == [["This:", CAT], ["And", DOG, "this?"]]
    record["conversations"] = talk("Compare.", "Both have fur.")
    assert flat(read(record))[0] == ("user", [CAT, DOG, "Compare."])


def test_an_answer_that_speaks_of_marks_keeps_its_words() -> None:
    sample = read({"conversations": talk("How is a picture written?", "As <image>.")})
    assert flat(sample)[1] == ("assistant", ["As <image>."])


def test_a_system_message_comes_first() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi."},
    ]
    assert [role for role, _ in flat(read({"messages": messages}))] == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    ("record", "kind", "words"),
    [
        ([1], "broken entry", "no JSON object"),
        ({"id": 1}, "broken entry", "holds no conversations"),
        ({"conversations": []}, "broken entry", "dialogue is empty"),
        ({"conversations": talk("What?", " \n")}, "empty answer", "turn 2 is an answer without words"),
        ({"conversations": talk("What?", "A cat.", "Sure?")}, "broken entry", "do not alternate"),
        ({"conversations": [*talk("a", "b"), *talk("c"), *talk("d")]}, "broken entry", "do not alternate"),
        ({"conversations": talk(" ", "A cat.")[1:]}, "broken entry", "dialogue is empty"),
        ({"conversations": talk("", "A cat.")}, "broken entry", "turn 1 is a question without words"),
        ({"conversations": [{"from": "bot", "value": "x"}]}, "broken entry", "role of a turn is 'bot'"),
        ({"conversations": [{"from": "human"}]}, "broken entry", "lacks 'value'"),
        ({"conversations": ["What?"]}, "broken entry", "not built as it should be"),
        ({"conversations": 3}, "broken entry", "not built as it should be"),
        ({"conversations": [{"from": "human", "value": 5}]}, "broken entry", "holds int instead of text"),
        ({"conversations": [{"from": ["human"], "value": "x"}]}, "broken entry", "not built as it should be"),
        ({"question": 4, "answer": "x"}, "broken entry", "holds int"),
        ({"answer": "x"}, "broken entry", "lacks 'question'"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "broken entry", "part of type 'audio'"),
        ({"video": "a.mp4", "conversations": talk("What?", "x")}, "broken entry", "shows a video"),
        ({"conversations": talk("<video>\nWhat?", "x")}, "broken entry", "place for a video"),
        ({"conversations": talk("<image>\nWhat?", "x")}, "broken entry", "1 places for a picture and 0 pictures"),
        ({"image": "a", "conversations": talk("<image> <image>", "x")}, "broken entry", "2 places for a picture and 1"),
        ({"text": " \n"}, "empty answer", "a text without words"),
        ({"text": 3}, "broken entry", "holds int instead of text"),
        ({"text": "x", "image": "a.png"}, "broken entry", "call the words of a picture caption"),
        ({"text": "x", "image_path": "a.png"}, "missing file", "call that field image"),
    ],
)
def test_every_fault_is_told(record: Any, kind: str, words: str) -> None:
    with pytest.raises(BrokenSample, match=words) as caught:
        read(record)
    assert caught.value.kind == kind
