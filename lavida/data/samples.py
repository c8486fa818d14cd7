r"""One entry of a data set: a dialogue whose picture parts hold their pictures.

An entry is a JSON object. Its words are in one of

    "conversations": [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]
    "messages":      [{"role": "user", "content": "<image>What is this?"}, {"role": "assistant", "content": "A cat."}]
    "texts":         [{"user": "What is this?", "assistant": "A cat."}]
    "question" and "answer", or "caption" alone

and its pictures, none to many, in "image" or "images", or within the parts of a message. A list of objects may also be
an object of lists of one length, as tables store it. Other fields are ignored. "text" alone is a plain text, which
answers no question and shows no picture.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lavida.errors import DataError, ImageError
from lavida.image.load import ADDRESS, from_data_address, from_file_address
from lavida.text.messages import Part, Turn

MARK = "<image>"
CAPTION = "Describe the image."  # the question that a bare caption answers
PICTURE_SIZE = 4000  # sources count a picture as this many letters: about a thousand tokens
KINDS = ("missing file", "broken picture", "empty answer", "too long", "broken entry")  # of broken samples
WORDS = ("conversations", "messages", "texts", "answer", "caption", "text")  # the fields that hold an entry's words
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "model": "assistant"}
_ROLES |= {"assistant": "assistant", "system": "system"}
# Names that other data give to the field of an entry's pictures.
_OTHER_NAMES = frozenset(
    "image_path image_paths image_file image_files image_url image_urls image_bytes img img_path imgs pic picture "
    "pictures photo photos file_name filename jpg jpeg png webp".split()
)
_PART_PICTURES = ("image", "image_url", "path", "url", "bytes")  # the keys under which a part holds its picture

Picture = Path | bytes
FindPicture = Callable[[str], Picture]  # the file that an entry names


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Describe how a model wrote an answer on its canvas."""

    canvas: tuple[int, ...]  # ids [L]
    steps: tuple[int | None, ...]  # [L] in which step each was committed, from 0 on; None: never decided, behind a stop
    block: int | None = None  # tokens of a block; None: one block


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Hold a dialogue that the assistant ends; the value of a picture part is a path or the file's bytes.

    A plain text is one turn of the assistant.
    """

    name: str  # "source:index"
    turns: tuple[Turn, ...]
    trajectory: Trajectory | None = None  # of the last answer, which alone is learnt then

    @property
    def is_text(self) -> bool:
        """Return whether it is a plain text, which answers no question."""
        return self.turns[0].role == "assistant"


class BrokenSample(DataError):
    """Report an entry that cannot be used; training skips it."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind  # one of KINDS


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Describe an entry that was left out."""

    source: str
    index: int
    kind: str  # one of KINDS
    reason: str


def read_sample(record: Any, name: str, find: FindPicture) -> Sample:
    """Read an entry as a sample.

    Args:
        record: The entry, as JSON or a table gives it.
        name: "source:index".
        find: Gives the picture that the entry names by a path.

    Raises:
        BrokenSample: The entry has no usable dialogue, or one of its pictures is missing.
    """
    if not isinstance(record, Mapping):
        raise broken("the entry is no JSON object")
    if any(record.get(key) for key in ("video", "videos")):
        raise broken("the entry shows a video; give frames of it as pictures")
    if _words_of(record) == "text":
        return Sample(name=name, turns=(_plain_text(record),))
    try:
        turns = _turns(record)
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else "is not built as it should be"
        raise broken(f"a turn of the dialogue {reason}") from None
    first = sum(turn.role == "system" for turn in turns[:1])
    if [turn.role for turn in turns[first : first + 1]] == ["assistant"]:  # a greeting, which answers no question
        del turns[first]
    _check_order(turns)
    given = [value for value in (record.get("image"), record.get("images")) if value is not None]
    several = [value if isinstance(value, (list, tuple)) else (value,) for value in given]
    pictures = [read_picture(value, find) for values in several for value in values]
    placed = _placed(turns, pictures, find)
    if not any(part.kind == "image" for turn in placed for part in turn.parts):
        _check_without_picture(record)
    return Sample(name=name, turns=tuple(placed))


def _check_without_picture(record: Mapping[str, Any]) -> None:
    """Raise BrokenSample for an entry without a picture that was to have one."""
    if "image" in record and record["image"] is None:
        raise broken("its image is null; leave the field out of an entry that shows no picture")
    other = next((key for key in record if key.lower() in _OTHER_NAMES and record[key]), None)
    if other is not None:
        raise BrokenSample("missing file", f"the entry names a picture in {other!r}; call that field image")
    if _words_of(record) == "caption":
        raise BrokenSample("missing file", "a caption without its picture")


def read_picture(value: Any, find: FindPicture) -> Picture:
    """Return the picture that a value stands for: bytes, a path, a data URL, or an object of bytes and path.

    Raises:
        BrokenSample: The value is none of these.
    """
    if isinstance(value, Mapping):
        inner = next((value[key] for key in ("bytes", "path", "url") if value.get(key)), None)
        return read_picture(inner, find)
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and value[:5].lower() == "data:":
        try:
            return from_data_address(value)
        except ImageError as error:
            raise BrokenSample("broken picture", str(error)) from None
    if isinstance(value, str) and value[:7].lower() == "file://":
        value = from_file_address(value)
    if isinstance(value, str) and ADDRESS.match(value):
        raise BrokenSample("missing file", f"{value:.80} is a URL; fetch the picture and give its file")
    if not isinstance(value, str) or not value or "\0" in value:
        raise broken(f"a picture is given as {value!r:.40}; give the path of a file")
    return find(value)


def broken(reason: str) -> BrokenSample:
    """Return the error for an entry of another form."""
    return BrokenSample("broken entry", reason)


def has_words(record: Any, *, plain: bool = True) -> bool:
    """Return whether an object has a field that can hold a dialogue, or, with `plain`, a plain text."""
    return isinstance(record, Mapping) and _words_of(record) not in (None, None if plain else "text")


def _words_of(record: Mapping[str, Any]) -> str | None:
    """Return the field that holds an entry's words."""
    return next((key for key in WORDS if record.get(key) is not None), None)


def _plain_text(record: Mapping[str, Any]) -> Turn:
    """Return the one turn of a plain text. Raises BrokenSample for one without words or with a picture."""
    if record.get("image") or record.get("images"):
        raise broken("a plain text shows no picture; call the words of a picture caption")
    _check_without_picture(record)
    part = _text(record["text"])
    if not part.value.strip():
        raise BrokenSample("empty answer", "a text without words")
    return Turn(role="assistant", parts=(part,))


def _turns(record: Mapping[str, Any]) -> list[Turn]:
    """Return the turns as they are written; a picture part without value takes the entry's next picture."""
    key = _words_of(record)
    if key is None:
        raise broken(f"the entry holds no {', '.join(WORDS[:-1])} or {WORDS[-1]}")
    if key in ("conversations", "messages"):
        return [_turn(message) for message in _rows(record[key])]
    if key == "texts":
        pairs = [(pair["user"], pair["assistant"]) for pair in _rows(record[key])]
    else:
        pairs = [(CAPTION if key == "caption" else record["question"], record[key])]
    both = ("user", "assistant")
    return [Turn(role=role, parts=(_text(words),)) for pair in pairs for role, words in zip(both, pair)]


def _rows(value: Any) -> list[Mapping[str, Any]]:
    """Return a list of objects, whether stored so, as an object of lists, or as JSON text of either."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise broken("the dialogue is a text that is no JSON") from None
    if isinstance(value, Mapping):
        columns = {key: list(column) for key, column in value.items() if isinstance(column, (list, tuple))}
        if not columns or len({len(column) for column in columns.values()}) > 1 or len(columns) < len(value):
            raise TypeError
        return [dict(zip(columns, row)) for row in zip(*columns.values())]
    if not isinstance(value, Sequence):
        raise TypeError
    return list(value)


def _turn(message: Mapping[str, Any]) -> Turn:
    role = message.get("from") if message.get("from") is not None else message.get("role")
    if not isinstance(role, str):
        if role is None and not {"from", "role"} & set(message):
            raise KeyError("role" if "content" in message else "from")
        raise TypeError
    if role.lower() not in _ROLES:
        raise broken(f"the role of a turn is {role!r}, which is none of {', '.join(_ROLES)}")
    content = message["value"] if message.get("value") is not None or "content" not in message else message["content"]
    of_parts = isinstance(content, (Mapping, Sequence)) and not isinstance(content, (str, bytes))
    parts = [_part(part) for part in _rows(content)] if of_parts else [_text(content)]
    return Turn(role=_ROLES[role.lower()], parts=tuple(_joined(parts)))


def _text(value: Any) -> Part:
    if not isinstance(value, str):
        raise broken(f"a turn holds {type(value).__name__} instead of text")
    return Part(kind="text", value=value)


def _part(part: Any) -> Part:
    """Return one part of a message; tables fill the fields that a part does not have with null."""
    if isinstance(part, str):
        return _text(part)
    given = {key: value for key, value in part.items() if value is not None}
    shown = next((key for key in _PART_PICTURES if key in given), None)
    kind = given.get("type", "text" if "text" in given else "image" if shown else None)
    if kind == "text":
        return _text(given["text"])
    if kind not in ("image", "image_url"):
        raise broken(f"a message has a part of type {kind!r}; only text and image are read")
    return Part(kind="image", value=None if shown is None else given[shown])


def _joined(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts with neighbouring texts as one, a line each."""
    for kind, same in groupby(parts, lambda part: part.kind):
        if kind == "text":
            yield _text("\n".join(part.value for part in same))
        else:
            yield from same


def _text_of(turn: Turn) -> str:
    """Return the words of a turn, MARK where a picture stands."""
    return "\n".join(MARK if part.kind == "image" else part.value for part in turn.parts)


def _check_order(turns: Sequence[Turn]) -> None:
    """Raise BrokenSample unless questions and answers take turns, after at most one system message."""
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if not spoken:
        raise broken("the dialogue is empty")
    if spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise broken(f"questions and answers do not alternate ({', '.join(roles[:6])}{', ...' * (len(roles) > 6)})")
    for place, turn in enumerate(turns):
        if turn.role != "user" and any(part.kind == "image" for part in turn.parts):
            raise broken(f"turn {place + 1} is the {turn.role}'s and holds a picture; only questions show pictures")
        if turn.role == "assistant" and not _text_of(turn).strip():
            raise BrokenSample("empty answer", f"turn {place + 1} is an answer without words")


def _placed(turns: Sequence[Turn], pictures: Sequence[Picture], find: FindPicture) -> list[Turn]:
    """Return the turns with every picture in its place; without places, pictures come before the first question.

    A single picture comes before the words of its turn, as it does in every question that is asked of a model.
    """
    if any("<video>" in _text_of(turn) for turn in turns if turn.role == "user"):
        raise broken("the dialogue has a place for a video; give frames of it as pictures")
    asked = [_marked(turn) if turn.role == "user" else turn for turn in turns]
    places = [part for turn in asked for part in turn.parts if part.kind == "image"]
    free = sum(part.value is None for part in places)
    if not places and pictures:
        if any(MARK in _text_of(turn) for turn in turns):
            raise broken("the place of a picture is not in a question; move <image> there")
        first = next(place for place, turn in enumerate(asked) if turn.role == "user")
        unplaced = (Part(kind="image"),) * len(pictures)
        asked[first] = replace(asked[first], parts=(*unplaced, *asked[first].parts))
    elif free != len(pictures):
        raise broken(f"{free} places for a picture and {len(pictures)} pictures")
    left, alone = iter(pictures), max(len(places), len(pictures)) == 1
    filled = [_filled(turn, left, find, alone) if turn.role == "user" else turn for turn in asked]
    empty = next((i for i, turn in enumerate(filled, 1) if turn.role == "user" and not turn.parts), None)
    if empty:
        raise broken(f"turn {empty} is a question without words")
    return filled


def _marked(turn: Turn) -> Turn:
    """Return the turn with each MARK in its texts as a picture part."""
    parts: list[Part] = []
    for part in turn.parts:
        if part.kind == "image":
            parts.append(part)
        else:
            first, *rest = map(_text, part.value.split(MARK))
            parts += [first, *(new for text in rest for new in (Part(kind="image"), text))]
    return replace(turn, parts=tuple(parts))


def _filled(turn: Turn, left: Iterator[Picture], find: FindPicture, alone: bool) -> Turn:
    """Return a question with its pictures; `alone`: the only picture of the dialogue comes before the words."""
    parts = list(turn.parts)
    if any(part.kind == "image" for part in parts):  # the template writes the white space between pictures and words
        parts = [replace(part, value=part.value.strip()) if part.kind == "text" else part for part in parts]
        if alone:
            texts = " ".join(part.value for part in parts if part.kind == "text" and part.value)
            parts = [*(part for part in parts if part.kind == "image"), _text(texts)]
    for place, part in enumerate(parts):
        if part.kind == "image":
            picture = next(left) if part.value is None else read_picture(part.value, find)
            parts[place] = replace(part, value=picture)
    return replace(turn, parts=tuple(part for part in parts if part.value != ""))
