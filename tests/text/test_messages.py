"""Dialogues as plain data: what is read, what is refused, and what is left of one without its history."""

from __future__ import annotations

from typing import Any

import pytest

from lavida.errors import RequestError
from lavida.text.messages import Part, Turn, pictures_of, read_messages, without_history

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
        ([user("a"), {"role": "system", "content": "b"}, user("c")], "must be the first"),
        ([user("a"), {"role": "assistant", "content": "b"}], "end with the user's question"),
        ([user("  ")], "the question is empty"),
        ([user([])], "message 1 has no content"),
        ([user(None)], "message 1 has no content"),
        ([user([{"type": "audio", "audio": "a.wav"}])], "choose one of text, image, video"),
        ([user(["a"])], "choose one of text, image, video"),
        ([user([{"type": "image", "image": "a", "detail": "low"}])], "an? ?image part with 'detail'"),
        ([user([{"type": "text"}])], "text part without a text"),
        ([{"role": "system", "content": [PICTURE]}, user("a")], "only the user shows pictures"),
    ],
)
def test_anything_else_is_refused(messages: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words) as error:
        read_messages(messages)
    assert "\n" not in str(error.value)
