"""Dialogues as plain data: what is read, what is refused, and what is left of one without its history."""

from __future__ import annotations

from typing import Any

import pytest

from lavida.errors import RequestError
from lavida.text.messages import Part, Turn, pictures_of, question_turns, read_messages, without_history

TEXT = {"type": "text", "text": "What is this?"}
PICTURE = {"type": "image", "image": "a.jpg"}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_texts_and_parts_are_read() -> None:
    turns = read_messages(
        [
            {"role": "system", "content": "Be brief."},
            user([PICTURE, {"type": "video", "video": "b.mp4"}, {"type": "image"}, TEXT]),
            {"role": "assistant", "content": "A cat."},
            user("Where?"),
        ]
    )
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert pictures_of(turns) == [
        Part(kind="image", value="a.jpg"),
        Part(kind="video", value="b.mp4"),
        Part(kind="image", value=None),
    ]
    assert turns[3] == Turn(role="user", parts=(Part(kind="text", value="Where?"),))


def test_without_history_the_pictures_come_before_the_last_question() -> None:
    said = {"role": "assistant", "content": "A cat."}
    turns = read_messages([{"role": "system", "content": "Brief."}, user([PICTURE, TEXT]), said, user("Where?")])
    system, last = without_history(turns)
    assert system.role == "system" and [part.value for part in last.parts] == ["a.jpg", "Where?"]
    assert without_history(turns[1:]) == [last]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ("What is this?", "messages must be a list"),
        ({"role": "user", "content": "a"}, "messages must be a list"),
        ([], "messages must be a list"),
        (["What?"], 'message 1 must have "role" and "content"'),
        ([{"role": "user", "content": "a", "mood": "b"}], "message 1 has 'mood', which is not read"),
        ([{"role": "assistant", "content": None, "tool_calls": [1]}, user("a")], "has 'tool_calls', which is not"),
        ([{"role": "tool", "content": "a"}], "role 'tool'; choose one of system, user, assistant"),
        ([user("a"), {"role": "assistant", "content": "b"}], "end with the user's question"),
        ([user("  ")], "the question is empty"),
        ([user([])], "message 1 has no content"),
        ([user(None)], "message 1 has no content"),
        ([user([{"type": "audio", "audio": "a.wav"}])], "choose one of text, image, video"),
        ([user([3])], "choose one of text, image, video"),
        ([user([{"type": "image", "image": "a", "detail": "low"}])], "an? ?image part with 'detail'"),
        ([user([{"type": "text"}])], "text part without a text"),
        ([{"role": "system", "content": [PICTURE]}, user("a")], "only the user shows pictures"),
    ],
)
def test_anything_else_is_refused(messages: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words) as error:
        read_messages(messages)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"type": "image_url", "image_url": {"url": "a.jpg"}}, "a.jpg"),
        ({"type": "image_url", "image_url": {"url": "a.jpg", "detail": "high"}}, "a.jpg"),
        ({"type": "image_url", "image_url": "a.jpg"}, "a.jpg"),
        ({"type": "image", "url": "a.jpg"}, "a.jpg"),
        ({"type": "image", "path": "a.jpg", "image": None}, "a.jpg"),
        ({"type": "image", "base64": "QUJD"}, "data:;base64,QUJD"),
        ({"type": "image", "image": b"bytes"}, b"bytes"),
    ],
)
def test_pictures_in_the_forms_of_other_programs(part: dict[str, Any], value: object) -> None:
    assert pictures_of(read_messages([user([part, TEXT])])) == [Part(kind="image", value=value)]


def test_videos_by_address_and_fields_that_say_nothing() -> None:
    reply = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [], "audio": None}
    turns = read_messages(
        [
            {"role": "developer", "content": "Be brief."},
            {**user([{"type": "video_url", "video_url": {"url": "b.mp4"}}, TEXT]), "name": "Ann"},
            reply,
            user("Well?"),
        ]
    )
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert pictures_of(turns) == [Part(kind="video", value="b.mp4")] and turns[2].parts == (
        Part(kind="text", value=""),
    )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "image_url", "image_url": {"uri": "a"}}, "has 'image_url' without a \"url\""),
        ({"type": "image_url", "image_url": {"url": "a", "size": 3}}, "'size' in 'image_url'"),
        ({"type": "image", "image": "a", "url": "b"}, "image part with image and url; give one"),
        ({"type": "image", "base64": b"AB"}, "'base64' that is no text"),
        ({"type": ["image"]}, "choose one of text, image, video"),
    ],
)
def test_parts_that_cannot_be_read(part: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        read_messages([user([part, TEXT])])


def test_marks_in_a_text_are_the_places_of_its_pictures() -> None:
    a, b = Part(kind="image", value="a.jpg"), Part(kind="image", value="b.jpg")

    def shown(text: str, *pictures: Part) -> list[object]:
        return [part.value for part in question_turns(text, pictures)[0].parts]

    assert shown("<image>\nWhat?", a) == ["a.jpg", "What?"]
    assert shown("Is <image> like <image>?", a, b) == ["Is", "a.jpg", "like", "b.jpg", "?"]
    assert shown("What is the tag <image>?") == ["What is the tag <image>?"]  # without pictures it is text
    assert shown(" What? ", a) == ["a.jpg", " What? "]
    given = [user([PICTURE, {"type": "text", "text": "Like <image> this?"}])]
    assert [part.kind for part in read_messages(given)[0].parts] == ["text", "image", "text"]
    with pytest.raises(RequestError, match="the text has 2 places <image> and 1 pictures come with it"):
        question_turns("<image> or <image>?", [a])
