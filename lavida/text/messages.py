"""A dialogue as plain data: a list of {"role", "content"}, oldest first.

    [
        {"role": "user", "content": [{"type": "image", "image": "cat.jpg"}, {"type": "text", "text": "What is this?"}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "What colour is it?"},
    ]

A content is a text or a list of parts. A part's value ("cat.jpg") is never looked at here: it may be anything that can
be opened later, or be left out where pictures are given apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lavida.errors import RequestError

ROLES = ("system", "user", "assistant")
KINDS = ("text", "image", "video")
IMAGE_ID = -200  # the place of a picture in a list of token ids


@dataclass(frozen=True, kw_only=True)
class Part:
    """A text, or the place of a picture or video."""

    kind: str  # one of KINDS
    value: Any = None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one side says at a time."""

    role: str  # one of ROLES
    parts: tuple[Part, ...]


def read_messages(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """The turns of a dialogue that ends with the user's. Raises RequestError where the form above is not kept."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence) or not messages:
        raise RequestError('messages must be a list such as [{"role": "user", "content": "What is this?"}]')
    turns = [_turn(message, place) for place, message in enumerate(messages)]
    if any(turn.role == "system" for turn in turns[1:]):
        raise RequestError("a system message must be the first of a dialogue; move it there")
    if turns[-1].role != "user":
        raise RequestError(f"the last message is the {turns[-1].role}'s; end with the user's question")
    if not any(part.kind != "text" or part.value.strip() for part in turns[-1].parts):
        raise RequestError("the question is empty; ask something")
    return turns


def question_turns(text: str, pictures: Sequence[Part] = ()) -> list[Turn]:
    """A dialogue of one question, pictures first."""
    return [Turn(role="user", parts=(*pictures, Part(kind="text", value=text)))]


def without_history(turns: Sequence[Turn]) -> list[Turn]:
    """The last question alone, as LaViDa is trained; the pictures of the whole dialogue come before it."""
    pictures = tuple(part for part in pictures_of(turns))
    words = tuple(part for part in turns[-1].parts if part.kind == "text")
    system = [turn for turn in turns[:1] if turn.role == "system"]
    return [*system, Turn(role="user", parts=pictures + words)]


def pictures_of(turns: Sequence[Turn]) -> list[Part]:
    """Pictures and videos in the order of their places."""
    return [part for turn in turns for part in turn.parts if part.kind != "text"]


def _turn(message: Any, place: int) -> Turn:
    if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
        raise RequestError(f'message {place + 1} must have exactly "role" and "content"')
    role, content = message["role"], message["content"]
    if role not in ROLES:
        raise RequestError(f"message {place + 1} has the role {role!r}; choose one of {', '.join(ROLES)}")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, Sequence) or not parts:
        raise RequestError(f"message {place + 1} has no content; give a text or a list of parts")
    read = tuple(_part(part, place) for part in parts)
    if role != "user" and any(part.kind != "text" for part in read):
        raise RequestError(f"message {place + 1} is the {role}'s and holds a picture; only the user shows pictures")
    return Turn(role=role, parts=read)


def _part(part: Any, place: int) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in KINDS:
        raise RequestError(f'message {place + 1} has a part without a known "type"; choose one of {", ".join(KINDS)}')
    unknown = sorted(set(part) - {"type", kind})
    if unknown:
        raise RequestError(f"message {place + 1} has a {kind} part with {unknown[0]!r}; it takes only {kind!r}")
    if kind == "text" and not isinstance(part.get("text"), str):
        raise RequestError(
            f'message {place + 1} has a text part without a text; give {{"type": "text", "text": "..."}}'
        )
    return Part(kind=kind, value=part.get(kind))
