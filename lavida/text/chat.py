"""Dialogues as each family writes them: a table of templates, and pure functions from turns to token ids.

Text that a user brings is never read as a special token. LaViDa section 2.3, LLaDA-V's conversation templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lavida.errors import CheckpointError, RequestError
from lavida.text.messages import IMAGE_ID, ROLES, Part, Turn, pictures_of
from lavida.text.tokenizer import FIM, SPAN

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_WIDE = str.maketrans("?!,:;.", "？！，：；。")
_SPECIAL = re.compile(r"(<\|[^<>|]+\|>|<image>)")


class Token(str):
    """One token by its exact spelling; `IMAGE` is the place of a picture."""

    __slots__ = ()


IMAGE = Token("<image>")


class Words(Protocol):
    """What is asked of a tokenizer here."""

    def id_of(self, token: str) -> int: ...

    def encode(self, text: str) -> list[int]: ...

    def token(self, i: int) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """How one family writes a dialogue; each `<|...|>` in its strings is one token."""

    turns: Mapping[str, tuple[str, str]]  # role -> what opens its turn and what closes it
    opening: str = ""  # once, before everything
    system: str | None = None  # the system message of a dialogue that brings none
    trim: bool = False  # white space around a turn's content is cut off
    pictures_first: bool = False  # before everything, wherever in the dialogue they stand
    between_images: str = " "  # in one turn; a newline stands between a picture and the text that follows it
    # The published splitter drops the first token behind a picture, as a rule that newline; training keeps it.
    drops_newline: bool = False
    wide_marks: bool = False  # the model was taught Chinese with Chinese punctuation only
    # Infilling: what an unneeded place of a gap turns into, and what stands fixed at the end of a gap.
    gap: tuple[str, str] | None = None

    def tokens(self) -> set[str]:
        """The special tokens that the tokenizer must have."""
        written = [self.opening, *(text for turn in self.turns.values() for text in turn)]
        return {piece for text in written for piece in split(text) if isinstance(piece, Token)}


_HELPFUL = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
_LLADA_TURNS = {role: (f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>") for role in ROLES}
_CHATML_TURNS = {role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ROLES}
_LLADA = ChatTemplate(
    opening="<|startoftext|>",
    turns=_LLADA_TURNS,
    trim=True,
    gap=("<|reserved_token_2|>", "<|reserved_token_1|>"),
)
_LLADA_SEES = replace(_LLADA, system=_HELPFUL, between_images="\n", drops_newline=True)

# By family, and "plain" for models that were never taught to talk: base models and the first stage of training.
TEMPLATES: dict[str, ChatTemplate] = {
    "lavida-mini": ChatTemplate(
        turns={"user": ("<|user|>", ""), "assistant": ("<|assistant|>", "<|eos|>")},
        trim=True,
        pictures_first=True,
        wide_marks=True,
        gap=(SPAN, FIM),
    ),
    "lavida-llada": _LLADA_SEES,
    "lavida-dream": ChatTemplate(turns=_CHATML_TURNS, system=_HELPFUL),
    "llada-v": _LLADA_SEES,
    "llada": _LLADA,
    "dream": ChatTemplate(turns=_CHATML_TURNS, system="You are a helpful assistant."),
    "plain": ChatTemplate(turns={"user": ("", ""), "assistant": ("", "\n")}),
}


@dataclass(frozen=True, kw_only=True)
class Written:
    """One turn as pieces: what opens it, what is said, what closes it."""

    role: str
    opened: list[str]
    content: list[str]
    closed: list[str]

    @property
    def pieces(self) -> list[str]:
        return self.opened + self.content + self.closed


def find_template(name: str) -> ChatTemplate:
    """A template by the name of its family. Raises RequestError for an unknown name."""
    if name not in TEMPLATES:
        raise RequestError(f"unknown template {name!r}; choose one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


def last_token(template: ChatTemplate) -> str | None:
    """The token that ends an answer; None if the template has none."""
    return next((piece for piece in split(template.turns["assistant"][1]) if isinstance(piece, Token)), None)


def check_tokens(template: ChatTemplate, tokenizer: Words) -> None:
    """Raise CheckpointError if the tokenizer lacks a token of the template."""
    for token in sorted(template.tokens()):
        try:
            tokenizer.id_of(token)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or choose another template ({', '.join(TEMPLATES)})") from None


def split(text: str) -> list[str]:
    """Text that may be trusted, such as a rendered prompt, cut at its special tokens and `<image>`."""
    pieces = _SPECIAL.split(text)
    return [Token(piece) if i % 2 else piece for i, piece in enumerate(pieces) if piece]


def write(turns: Sequence[Turn], template: ChatTemplate) -> tuple[list[str], list[Written]]:
    """What stands before a dialogue, and its turns; each special token and each picture (`IMAGE`) is a `Token`.

    Raises RequestError for a role that the family lacks.
    """
    before = split(template.opening)
    if template.pictures_first:
        before = [IMAGE for _ in pictures_of(turns)] + before
    if turns[0].role != "system" and template.system is not None:
        turns = [Turn(role="system", parts=(Part(kind="text", value=template.system),)), *turns]
    return before, [_written(turn, template) for turn in turns]


def render(turns: Sequence[Turn], template: ChatTemplate) -> list[str]:
    """The dialogue as pieces of `write`, opened for the assistant's answer; joined they are the prompt as a string."""
    before, written = write(turns, template)
    pieces = before + [piece for turn in written for piece in turn.pieces]
    return pieces + split(template.turns["assistant"][0])


def prompt_ids(turns: Sequence[Turn], template: ChatTemplate, tokenizer: Words, *, official: bool = False) -> list[int]:
    """Token ids of the dialogue, -200 where a picture stands; `official` as in `piece_ids`."""
    return piece_ids(render(turns, template), template, tokenizer, official=official)


def piece_ids(pieces: Iterable[str], template: ChatTemplate, tokenizer: Words, *, official: bool = False) -> list[int]:
    """Token ids of the pieces of `render` or `split`, -200 where a picture stands.

    Where the family drops the newline behind a picture, `official` drops the first token whatever it is, as the
    published code does.
    """
    ids: list[int] = []
    behind_image = False
    for piece in _joined(pieces):
        if isinstance(piece, Token) and piece == IMAGE:
            ids.append(IMAGE_ID)
            behind_image = True
            continue
        new = [tokenizer.id_of(piece)] if isinstance(piece, Token) else tokenizer.encode(piece)
        dropped = template.drops_newline and behind_image and (official or tokenizer.token(new[0]) == "\n")
        ids += new[1:] if dropped else new
        behind_image = False
    return ids


def _written(turn: Turn, template: ChatTemplate) -> Written:
    if turn.role not in template.turns:
        raise RequestError(f"this model takes no {turn.role} message; leave it out")
    opened, closed = template.turns[turn.role]
    return Written(role=turn.role, opened=split(opened), content=_content(turn, template), closed=split(closed))


def _content(turn: Turn, template: ChatTemplate) -> list[str]:
    pieces: list[str] = []
    for part in turn.parts:
        if part.kind == "text":
            wide = template.wide_marks and _CHINESE.search(part.value)
            said = part.value.translate(_WIDE) if wide else part.value
            pieces += ["\n", said] if pieces else [said]
        elif not template.pictures_first:
            pieces += [template.between_images, IMAGE] if pieces and pieces[-1] is IMAGE else [IMAGE]
    if template.trim and pieces and pieces[0] is not IMAGE:
        pieces[0] = pieces[0].lstrip()
    if template.trim and pieces and pieces[-1] is not IMAGE:
        pieces[-1] = pieces[-1].rstrip()
    return pieces


def _joined(pieces: Iterable[str]) -> list[str]:
    """Neighbouring texts as one, since a tokenizer may merge across their border; empty ones left out."""
    out: list[str] = []
    for piece in pieces:
        if out and not isinstance(piece, Token) and not isinstance(out[-1], Token):
            out[-1] += piece
        elif piece:
            out.append(piece)
    return out
