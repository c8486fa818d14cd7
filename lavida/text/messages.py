"""A dialogue as plain data: a list of {"role", "content"}, oldest first.

    [
        {"role": "user", "content": [{"type": "image", "image": "cat.jpg"}, {"type": "text", "text": "What is this?"}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "What colour is it?"},
    ]

A content is a text or a list of parts. The value of a part ("cat.jpg") is not opened here; it may be left out where
pictures are given apart. The forms of other programs are read too: `image_url` and `video_url` parts, "url", "path" and
"base64" in place of the value, the role "developer" for "system", a `name`, and fields that are null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lavida.errors import RequestError

ROLES = ("system", "user", "assistant")
KINDS = ("text", "image", "video")
IMAGE_ID = -200  # the place of a picture in a list of token ids
MARK = "<image>"  # in a text, the place of a picture that its turn shows
_SAME_ROLE = {"developer": "system"}
_VALUES = ("url", "path", "base64")  # where transformers looks for the value of a part
# Beside role and content; a name is not shown to the model, no template here has a place for it.
_IGNORED = ("name",)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Hold a text, or the place of a picture or video."""

    kind: str  # one of KINDS
    value: Any = None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Hold one message."""

    role: str  # one of ROLES
    parts: tuple[Part, ...]


def read_messages(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Return the turns of a dialogue that ends with the user's.

    Where a turn shows pictures, `<image>` in its text marks their places, as in LLaVA's data; in a dialogue without
    pictures it is text.

    Raises:
        RequestError: The form above is not kept, or `<image>` stands more or less often than there are pictures.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence) or not messages:
        raise RequestError('messages must be a list such as [{"role": "user", "content": "What is this?"}]')
    turns = [_turn(message, place) for place, message in enumerate(messages)]
    if turns[-1].role != "user":
        raise RequestError(f"the last message is the {turns[-1].role}'s; end with the user's question")
    if not any(part.kind != "text" or part.value.strip() for part in turns[-1].parts):
        raise RequestError("the question is empty; ask something")
    return [with_marks_as_places(turn) for turn in turns]


def question_turns(text: str, pictures: Sequence[Part] = ()) -> list[Turn]:
    """Return a dialogue of one question, pictures first unless `<image>` in the text marks their places.

    Raises:
        RequestError: `<image>` stands more or less often than there are pictures.
    """
    return [with_marks_as_places(Turn(role="user", parts=(*pictures, Part(kind="text", value=text))))]


def with_marks_as_places(turn: Turn) -> Turn:
    """Return a turn whose pictures stand where `<image>` in its text marks their places.

    Raises:
        RequestError: A turn with pictures has more or fewer marks than pictures.
    """
    pictures = pictures_of([turn])
    marks = sum(part.value.count(MARK) for part in turn.parts if part.kind == "text")
    if not (pictures and marks):
        return turn
    if marks != len(pictures):
        raise RequestError(
            f"the text has {marks} places {MARK} and {len(pictures)} pictures come with it; "
            f"give as many, or leave {MARK} out"
        )
    return Turn(role=turn.role, parts=tuple(_placed(turn, iter(pictures))))


def without_history(turns: Sequence[Turn]) -> list[Turn]:
    """Return the last question alone, as LaViDa is trained, behind the pictures of the whole dialogue."""
    words = tuple(part for part in turns[-1].parts if part.kind == "text")
    system = [turn for turn in turns[:1] if turn.role == "system"]
    return [*system, Turn(role="user", parts=(*pictures_of(turns), *words))]


def pictures_of(turns: Sequence[Turn]) -> list[Part]:
    """Return pictures and videos in the order of their places."""
    return [part for turn in turns for part in turn.parts if part.kind != "text"]


def _placed(turn: Turn, pictures: Iterator[Part]) -> Iterator[Part]:
    for part in turn.parts:
        if part.kind != "text":
            continue
        for place, text in enumerate(part.value.split(MARK)):
            if place:
                yield next(pictures)
            if text.strip():  # the template writes the white space between pictures and words
                yield Part(kind="text", value=text.strip() if MARK in part.value else text)


def _turn(message: Any, place: int) -> Turn:
    if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
        raise RequestError(f'message {place + 1} must have "role" and "content"')
    unread = [key for key in message if key not in ("role", "content", *_IGNORED) and not _is_empty(message[key])]
    if unread:
        raise RequestError(f"message {place + 1} has {unread[0]!r:.40}, which is not read; leave it out")
    role, content = message["role"], message["content"]
    role = _SAME_ROLE.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        raise RequestError(f"message {place + 1} has the role {role!r:.40}; choose one of {', '.join(ROLES)}")
    if content is None and role != "user":  # the form of a reply without words
        content = ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if isinstance(parts, (bytes, bytearray)) or not isinstance(parts, Sequence) or not parts:
        raise RequestError(f"message {place + 1} has no content; give a text or a list of parts")
    read = tuple(_part(part, place) for part in parts)
    if role != "user" and any(part.kind != "text" for part in read):
        raise RequestError(f"message {place + 1} is the {role}'s and holds a picture; only the user shows pictures")
    return Turn(role=role, parts=read)


def _part(part: Any, place: int) -> Part:
    if isinstance(part, str):
        return Part(kind="text", value=part)
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(kind, str) and kind != "text_url":
        kind = kind.removesuffix("_url")
    if kind not in KINDS:
        raise RequestError(f'message {place + 1} has a part without a known "type"; choose one of {", ".join(KINDS)}')
    known = ("text",) if kind == "text" else (kind, f"{kind}_url", *_VALUES)
    given = {key: value for key, value in part.items() if key != "type" and not _is_empty(value)}
    unknown = sorted(str(key) for key in given if key not in known)
    if unknown:
        raise RequestError(f"message {place + 1} has a {kind} part with {unknown[0]!r:.40}; it takes only {kind!r}")
    if kind == "text":
        if not isinstance(part.get("text"), str):
            raise RequestError(
                f'message {place + 1} has a text part without a text; give {{"type": "text", "text": "..."}}'
            )
        return Part(kind=kind, value=part["text"])
    if len(given) > 1:
        raise RequestError(f"message {place + 1} has a {kind} part with {' and '.join(given)}; give one of them")
    key, value = next(iter(given.items()), (kind, None))
    return Part(kind=kind, value=_value(str(key), value, place))


def _value(key: str, value: Any, place: int) -> Any:
    """Return what a part shows; an `image_url` may be an object that holds the address and a wish for detail."""
    if isinstance(value, Mapping):
        if not key.endswith("_url") or not isinstance(value.get("url"), str):
            raise RequestError(f'message {place + 1} has {key!r} without a "url"; give {{"url": "..."}}')
        unknown = sorted(str(name) for name in value if name not in ("url", "detail"))
        if unknown:
            raise RequestError(f"message {place + 1} has {unknown[0]!r:.40} in {key!r}; it takes only 'url'")
        return value["url"]
    if key == "base64":
        if not isinstance(value, str):
            raise RequestError(f"message {place + 1} has 'base64' that is no text; give the bytes as 'image'")
        return value if value.startswith("data:") else f"data:;base64,{value}"
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple, dict)) and not value)
