"""One entry of a data set: a dialogue whose picture parts say where their pictures are.

An entry is a JSON object. Its words are in one of

    "conversations": [{"from": "human", "value": "<image>\\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]
    "messages":      [{"role": "user", "content": "<image>What is this?"}, {"role": "assistant", "content": "A cat."}]
    "texts":         [{"user": "What is this?", "assistant": "A cat."}]
    "question" and "answer", or "caption" alone

and its pictures, none to many, in "image" or "images". Whatever else it holds is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavida.errors import DataError
from lavida.text.messages import Part, Turn

MARK = "<image>"
CAPTION = "Describe the image."  # the question that a bare caption answers
PICTURE_SIZE = 4000  # sources count a picture as so many letters: about a thousand tokens
# What may be wrong with an entry.
KINDS = ("missing file", "broken picture", "empty answer", "too long", "broken entry")
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
}

Picture = Path | bytes
Said = tuple[str, str]  # role and words, MARK where a picture stands


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A dialogue that the assistant ends; the value of a picture part is a path or the file's bytes."""

    name: str  # "source:index"
    turns: tuple[Turn, ...]


class BrokenSample(DataError):
    """An entry that cannot be used; training skips it."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind  # one of KINDS


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An entry that was left out, and why."""

    source: str
    index: int
    kind: str  # one of KINDS
    reason: str


def read_sample(record: Any, name: str, picture: Callable[[Any], Picture]) -> Sample:
    """An entry as a sample; `picture` says where the picture is that the entry calls so. Raises BrokenSample."""
    if not isinstance(record, Mapping):
        raise _broken("the entry is no JSON object")
    if record.get("video") is not None:
        raise _broken("the entry shows a video; give frames of it as pictures")
    shown: list[Any] = [one for key in ("image", "images") for one in _several(record.get(key))]
    said = list(_said(record, shown))
    if said and said[0][0] == "assistant":  # some sets open with a greeting, which answers nothing
        said = said[1:]
    _check_order(said)
    return Sample(name=name, turns=tuple(_turns(said, [picture(one) for one in shown])))


def _said(record: Mapping[str, Any], shown: list[Any]) -> Iterator[Said]:
    """Who says what; pictures that stand within messages are added to `shown`."""
    try:
        if record.get("conversations") is not None:
            yield from ((_role(turn["from"]), _text(turn["value"])) for turn in record["conversations"])
        elif record.get("messages") is not None:
            yield from ((_role(turn["role"]), _content(turn["content"], shown)) for turn in record["messages"])
        elif record.get("texts") is not None:
            for pair in record["texts"]:
                yield from (("user", _text(pair["user"])), ("assistant", _text(pair["assistant"])))
        elif record.get("answer") is not None:
            yield from (("user", _text(record["question"])), ("assistant", _text(record["answer"])))
        elif record.get("caption") is not None:
            yield from (("user", CAPTION), ("assistant", _text(record["caption"])))
        else:
            raise _broken("the entry holds no conversations, messages, texts, answer or caption")
    except (KeyError, TypeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else "is not built as it should be"
        raise _broken(f"a turn of the dialogue {reason}") from None


def _role(value: Any) -> str:
    if value not in _ROLES:
        raise _broken(f"a turn is said by {value!r}, which is none of {', '.join(_ROLES)}")
    return _ROLES[value]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _broken(f"a turn says {type(value).__name__} instead of text")
    return value


def _content(content: Any, shown: list[Any]) -> str:
    """The text of a message's content; parts may carry their picture with them."""
    if isinstance(content, str):
        return content
    words = []
    for part in content:
        if part["type"] == "text":
            words.append(_text(part["text"]))
        elif part["type"] == "image":
            words.append(MARK)
            if part.get("image") is not None:
                shown.append(part["image"])
        else:
            raise _broken(f"a message has a part of type {part['type']!r}; only text and image are read")
    return "\n".join(words)


def _several(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


def _check_order(said: Sequence[Said]) -> None:
    """Question and answer in turn, after at most one system message. Raises BrokenSample."""
    roles = [role for role, _ in said]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns:
        raise _broken("the dialogue is empty")
    if turns != ["user", "assistant"] * (len(turns) // 2):
        raise _broken(f"questions and answers do not alternate ({', '.join(roles[:6])}{', ...' * (len(roles) > 6)})")
    for place, (role, words) in enumerate(said):
        if role == "assistant" and not words.strip():
            raise BrokenSample("empty answer", f"turn {place + 1} is an answer without words")


def _turns(said: Sequence[Said], pictures: Sequence[Picture]) -> Iterator[Turn]:
    """Turns with their pictures in the places of the marks; without marks, before the first question.

    A single picture comes before the words of its turn, as it does in every question that is asked of a model.
    """
    marks = sum(words.count(MARK) for role, words in said if role == "user")
    if marks not in (0, len(pictures)):
        raise _broken(f"{marks} places for a picture and {len(pictures)} pictures")
    if any("<video>" in words for role, words in said if role == "user"):
        raise _broken("the dialogue has a place for a video; give frames of it as pictures")
    unplaced = 0 if marks else len(pictures)  # they go before the first question
    left = iter(pictures)
    for place, (role, words) in enumerate(said):
        if role != "user":
            yield Turn(role=role, parts=(Part(kind="text", value=words),))
            continue
        texts, unplaced = (MARK * unplaced + words).split(MARK), 0
        if len(texts) > 1:  # the template writes the white space between pictures and words
            texts = [text.strip() for text in texts]
        if len(texts) == 2 and len(pictures) == 1:
            texts = ["", " ".join(filter(None, texts))]
        parts = [Part(kind="text", value=texts[0])]
        for text in texts[1:]:
            parts += [Part(kind="image", value=next(left)), Part(kind="text", value=text)]
        parts = [part for part in parts if part.value != ""]
        if not parts:
            raise _broken(f"turn {place + 1} is a question without words")
        yield Turn(role=role, parts=tuple(parts))


def _broken(reason: str) -> BrokenSample:
    return BrokenSample("broken entry", reason)
