"""Chat templates of each family: a table, and pure functions from turns to token ids.

Text of a user is never read as a special token. LaViDa section 2.3, LLaDA-V's conversation templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lavida.errors import CheckpointError, RequestError
from lavida.text.messages import IMAGE_ID, MARK, ROLES, Part, Turn, pictures_of
from lavida.text.tokenizer import FIM, SPAN

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_WIDE = str.maketrans("?!,:;.", "？！，：；。")
_SPECIAL = re.compile(r"(<\|[^<>|]+\|>|<image>)")


class Token(str):
    """Hold one token by its exact spelling; `IMAGE` is the place of a picture."""

    __slots__ = ()


IMAGE = Token(MARK)


class Encoder(Protocol):
    """Name the methods of a tokenizer that templates need."""

    def id_of(self, token: str) -> int:
        """Return the id of a token by its exact spelling."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""

    def token(self, i: int) -> str:
        """Return the text of one id."""


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """Describe how one family writes a dialogue; each `<|...|>` in its strings is one token."""

    turns: Mapping[str, tuple[str, str]]  # role -> the opening and the closing of its turn
    opening: str = ""  # once, before everything
    system: str | None = None  # the system message of a dialogue without one
    trim: bool = False  # white space around a turn's content is cut off
    pictures_first: bool = False  # before everything, wherever in the dialogue they stand
    between_images: str = " "  # in one turn; a newline stands between a picture and the text that follows it
    # The published splitter drops the first token behind a picture, as a rule that newline; training keeps it.
    drops_newline: bool = False
    wide_marks: bool = False  # the model was trained on Chinese with Chinese punctuation only
    # Infilling: the token for a position of a gap that is not needed, and the fixed token at the end of a gap.
    gap: tuple[str, str] | None = None

    def tokens(self) -> set[str]:
        """Return the special tokens that the tokenizer must have."""
        written = [self.opening, *(text for turn in self.turns.values() for text in turn)]
        return {piece for text in written for piece in split(text) if isinstance(piece, Token)}


_HELPFUL = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
# The instruction that MMaDA's models were tuned with.
_THINK = (
    "You should first think about the reasoning process in the mind and then provide the user with the answer. The "
    "reasoning process is enclosed within <think> </think> tags, i.e. <think> reasoning process here </think> answer "
    "here"
)
_LLADA_TURNS = {role: (f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>") for role in ROLES}
_MMADA_TURNS = {role: (f"<|start_header_id|>{role}<|end_header_id|>\n", "<|eot_id|>") for role in ROLES}
_CHATML_TURNS = {role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ROLES}
_LLADA = ChatTemplate(
    opening="<|startoftext|>",
    turns=_LLADA_TURNS,
    trim=True,
    gap=("<|reserved_token_2|>", "<|reserved_token_1|>"),
)
_LLADA_SEES = replace(_LLADA, system=_HELPFUL, between_images="\n", drops_newline=True)
_MMADA = replace(_LLADA, turns=_MMADA_TURNS, pictures_first=True, gap=None)

# By family, and "plain" for models without dialogue training: base models and the first stage of training.
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
    # One newline behind a header, where LLaDA has two; a picture comes before the start of the text.
    "mmada": _MMADA,
    # The same, asked to reason first: "thinking mode" of the demo.
    "mmada-think": replace(
        _MMADA, turns=_MMADA_TURNS | {"user": (f"{_MMADA_TURNS['user'][0]}{_THINK}\n", "<|eot_id|>")}
    ),
    "plain": ChatTemplate(turns={"user": ("", ""), "assistant": ("", "\n")}),
}


@dataclass(frozen=True, kw_only=True)
class RenderedTurn:
    """Hold one turn as pieces: its opening, content and closing."""

    role: str
    opening: list[str]
    content: list[str]
    closing: list[str]

    @property
    def pieces(self) -> list[str]:
        """Return all pieces in order."""
        return self.opening + self.content + self.closing


def find_template(name: str) -> ChatTemplate:
    """Return a template by the name of its family. Raises RequestError for an unknown name."""
    if name not in TEMPLATES:
        raise RequestError(f"unknown template {name!r}; choose one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


def last_token(template: ChatTemplate) -> str | None:
    """Return the token that ends an answer; None if the template has none."""
    return next((piece for piece in split(template.turns["assistant"][1]) if isinstance(piece, Token)), None)


def check_tokens(template: ChatTemplate, tokenizer: Encoder) -> None:
    """Raise CheckpointError if the tokenizer lacks a token of the template."""
    for token in sorted(template.tokens()):
        try:
            tokenizer.id_of(token)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or choose another template ({', '.join(TEMPLATES)})") from None


def split(text: str) -> list[str]:
    """Return trusted text, such as a rendered prompt, cut at its special tokens and `<image>`."""
    pieces = _SPECIAL.split(text)
    return [Token(piece) if i % 2 else piece for i, piece in enumerate(pieces) if piece]


def render_turns(turns: Sequence[Turn], template: ChatTemplate) -> tuple[list[str], list[RenderedTurn]]:
    """Return the pieces before a dialogue, and its turns; each special token and each picture (`IMAGE`) is a `Token`.

    A system message of a family that has no turn for it is read before the words of the next question.

    Raises:
        RequestError: The family has no such role.
    """
    before = split(template.opening)
    if "system" not in template.turns:
        turns = _with_system_in_questions(turns)
    if template.pictures_first:
        before = [IMAGE for _ in pictures_of(turns)] + before
    if turns[0].role != "system" and template.system is not None:
        turns = [Turn(role="system", parts=(Part(kind="text", value=template.system),)), *turns]
    return before, [_rendered(turn, template) for turn in turns]


def render(turns: Sequence[Turn], template: ChatTemplate) -> list[str]:
    """Return the dialogue as pieces, opened for the assistant's answer; joined they are the prompt as a string."""
    before, written = render_turns(turns, template)
    pieces = before + [piece for turn in written for piece in turn.pieces]
    return pieces + split(template.turns["assistant"][0])


def prompt_ids(
    turns: Sequence[Turn], template: ChatTemplate, tokenizer: Encoder, *, official: bool = False
) -> list[int]:
    """Return token ids of the dialogue, IMAGE_ID where a picture stands; `official` as in `piece_ids`."""
    return piece_ids(render(turns, template), template, tokenizer, official=official)


def piece_ids(
    pieces: Iterable[str], template: ChatTemplate, tokenizer: Encoder, *, official: bool = False
) -> list[int]:
    """Return token ids of the pieces of `render` or `split`, IMAGE_ID where a picture stands.

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
        dropped = template.drops_newline and behind_image and new and (official or tokenizer.token(new[0]) == "\n")
        ids += new[1:] if dropped else new
        behind_image = False
    return ids


def _with_system_in_questions(turns: Sequence[Turn]) -> list[Turn]:
    out: list[Turn] = []
    waiting: list[Part] = []  # texts of system messages
    for turn in turns:
        if turn.role == "system":
            waiting += [replace(part, value=part.value.strip()) for part in turn.parts if part.value.strip()]
            continue
        if turn.role == "user" and waiting:
            first = next((place for place, part in enumerate(turn.parts) if part.kind == "text"), len(turn.parts))
            turn = replace(turn, parts=(*turn.parts[:first], *waiting, *turn.parts[first:]))
            waiting = []
        out.append(turn)
    return out


def _rendered(turn: Turn, template: ChatTemplate) -> RenderedTurn:
    if turn.role not in template.turns:
        raise RequestError(f"this model takes no {turn.role} message; leave it out")
    opening, closing = template.turns[turn.role]
    return RenderedTurn(
        role=turn.role, opening=split(opening), content=_content(turn, template), closing=split(closing)
    )


def _content(turn: Turn, template: ChatTemplate) -> list[str]:
    pieces: list[str] = []
    for part in turn.parts:
        if part.kind == "text":
            wide = template.wide_marks and _CHINESE.search(part.value)
            text = part.value.translate(_WIDE) if wide else part.value
            pieces += ["\n", text] if pieces else [text]
        elif not template.pictures_first:
            pieces += [template.between_images, IMAGE] if pieces and pieces[-1] is IMAGE else [IMAGE]
    if template.trim and pieces and pieces[0] is not IMAGE:
        pieces[0] = pieces[0].lstrip()
    if template.trim and pieces and pieces[-1] is not IMAGE:
        pieces[-1] = pieces[-1].rstrip()
    return pieces


def _joined(pieces: Iterable[str]) -> list[str]:
    """Join neighbouring texts, since a tokenizer may merge across their border; leave empty ones out."""
    out: list[str] = []
    for piece in pieces:
        if out and not isinstance(piece, Token) and not isinstance(out[-1], Token):
            out[-1] += piece
        elif piece:
            out.append(piece)
    return out
