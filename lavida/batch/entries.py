"""One input of a batch job: a dialogue whose pictures are named, not opened.

    {"id": "roof-17", "image": "photos/17.jpg", "question": "What is on the roof?", "options": {"steps": 8}}
    {"images": ["a.png", "b.png"], "prompt": "What differs?"}
    {"messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Hm?"}]}]}

Nothing but these fields is read; a field that is null counts as left out. `options` are those of `Model.ask`, which go
before the job's. An input that cannot be read is an `Entry` with an error: it has its place in the output too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lavida.data.samples import Picture, read_picture
from lavida.errors import DataError, LavidaError
from lavida.image.load import SUFFIXES
from lavida.text.messages import MARK, Part, Turn, question_turns, read_messages, with_marks_as_places

FIELDS = ("id", "image", "images", "question", "prompt", "messages", "options")
# Endings of pictures: of kinds that may not be read too, so that each of them is an input and none is passed over.
PICTURES = frozenset((*SUFFIXES, ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".svg", ".tga"))

Find = Callable[[str], Picture]  # the picture that an entry names
Id = str | int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Hold one input; the value of a picture part is a path or the bytes of a file."""

    index: int  # place in the input, from 0
    id: Id
    image: str | None = None  # names of its pictures
    turns: tuple[Turn, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None  # why it cannot be read

    @property
    def question(self) -> str | None:
        """Return the words of the last turn."""
        words = "\n".join(part.value for turn in self.turns[-1:] for part in turn.parts if part.kind == "text")
        return words or None


class Inputs(Protocol):
    """Hold the inputs of a job, each at its place; the same ones at every opening."""

    kind: str  # "folder", "JSON lines", "tar", "parquet"
    unread: tuple[str, ...]  # fields beside the pictures that are none of FIELDS, and are passed over

    def __len__(self) -> int: ...

    def stamp(self) -> str:
        """Return a digest that changes when an input is added, removed or edited."""

    def entries(self, places: Iterable[int]) -> Iterator[Entry]:
        """Yield the inputs at ascending places, each read when its turn comes."""


def read_entry(record: Any, index: int, find: Find, *, asked: str, id: Id | None = None, strict: bool = True) -> Entry:
    """Read an input; what is wrong with it becomes its error.

    Args:
        record: What a line or row holds.
        index: Its place.
        find: Gives the picture that the record names by a path.
        asked: The question of a record without one.
        id: Of a record without one; None: its place.
        strict: A field of another name is an error, and not passed over.
    """
    made = Entry(index=index, id=index if id is None else id)
    try:
        if not isinstance(record, Mapping):
            raise DataError("is no JSON object; write one a line")
        given = {name: value for name, value in record.items() if value is not None}
        unknown = sorted(str(name) for name in given if name not in FIELDS)
        if "id" in given:
            made = replace(made, id=_id(given["id"]))
        if unknown and strict:
            raise DataError(f"has a field {unknown[0]!r:.40}, which is not read; fields are {', '.join(FIELDS)}")
        made = replace(made, options=_options(given))
        turns = _turns(given, asked)
        made = replace(
            made, image=name_of([part.value for turn in turns for part in turn.parts if part.kind != "text"])
        )
        return replace(made, turns=tuple(replace(turn, parts=_found(turn.parts, find)) for turn in turns))
    except LavidaError as error:
        return replace(made, error=str(error))


def name_of(pictures: Sequence[Any]) -> str | None:
    """Return the names of pictures as they are given; of bytes, what they are."""
    return ", ".join(map(_name, pictures)) or None


def _name(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("path") or value.get("url") or value.get("bytes")
    if isinstance(value, bytes):
        return "bytes"
    text = str(value)
    return text[:5] + "..." if text[:5].lower() == "data:" else text


def _id(value: Any) -> Id:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"has the id {value!r:.40}; give a text or a whole number")
    return value


def _pictures(given: Mapping[str, Any]) -> list[Any]:
    """Return what `image` or `images` hold."""
    if "image" in given and "images" in given:
        raise DataError("has image and images; give one of them")
    value = given.get("image", given.get("images", ()))
    listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return list(value) if listed else [value]


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    value = given.get("options", {})
    value = _json(value, "options") if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        raise DataError('has options that are no object; write {"steps": 8}')
    if value.get("deadline") is not None:
        raise DataError("has a deadline among its options; answers of a batch are written side by side")
    return {name: option for name, option in value.items() if option is not None}


def _turns(given: Mapping[str, Any], asked: str) -> list[Turn]:
    """Return the turns of a record; the value of a picture is what the record gives for it."""
    pictures = _pictures(given)
    words = [name for name in ("question", "prompt", "messages") if name in given]
    if len(words) > 1:
        raise DataError(f"has {' and '.join(words)}; give one of them")
    if not words and not pictures:
        raise DataError("shows no picture and asks nothing; give image, question or messages")
    if words == ["messages"]:
        return _dialogue(given["messages"], pictures)
    question = given[words[0]] if words else asked
    if not isinstance(question, str) or not question.strip():
        raise DataError("has a question that is no text; ask something")
    return question_turns(question, [Part(kind="image", value=picture) for picture in pictures])


def _dialogue(messages: Any, pictures: Sequence[Any]) -> list[Turn]:
    """Return messages with the pictures given apart: in the parts that lack one, or else before a question.

    That is the first question, or the first one in which `<image>` marks their places.
    """
    messages = _json(messages, "messages") if isinstance(messages, str) else messages
    turns = read_messages(messages)
    empty = sum(part.kind == "image" and part.value is None for turn in turns for part in turn.parts)
    if pictures and not empty:
        asked = [place for place, turn in enumerate(turns) if turn.role == "user"]
        marked = [place for place in asked if any(p.kind == "text" and MARK in p.value for p in turns[place].parts)]
        place = (marked or asked)[0]
        shown = tuple(Part(kind="image", value=picture) for picture in pictures)
        turns[place] = with_marks_as_places(replace(turns[place], parts=(*shown, *turns[place].parts)))
        return turns
    if empty != len(pictures):
        raise DataError(f"has {len(pictures)} pictures for {empty} places in its messages; give as many")
    left = iter(pictures)
    return [replace(turn, parts=tuple(_filled(part, left) for part in turn.parts)) for turn in turns]


def _filled(part: Part, left: Iterator[Any]) -> Part:
    return replace(part, value=next(left)) if part.kind == "image" and part.value is None else part


def _found(parts: Iterable[Part], find: Find) -> tuple[Part, ...]:
    """Return parts whose pictures are paths or bytes."""
    if any(part.kind == "video" for part in parts):
        raise DataError("shows a video; give frames of it as pictures")
    return tuple(p if p.kind == "text" else replace(p, value=read_picture(p.value, find)) for p in parts)


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(f"has {name} that are no valid JSON") from None
