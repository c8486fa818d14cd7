"""What a language must be able to say; every question is drawn as a `Fact` first and put into words after.

A language is a module with the functions below. To add one: write it, name it in `LANGUAGES`, give the classes of
`labels.json` their names in it, and give the tokenizer its words if they are written without spaces.
"""

from __future__ import annotations

from typing import Protocol

from lavida.errors import RequestError
from mini.data import chinese, english
from mini.data.facts import Fact
from mini.data.scenes import Scene


class Language(Protocol):
    """The words of one language; "word" is any noun, "name" a concept of `concepts.py`."""

    CODE: str
    TITLE: str  # in English
    COMMA: str  # what stands between the groups of a caption, before the last, and at its end
    AND: str
    STOP: str

    def prompt(self, fact: Fact) -> str: ...
    def answer(self, fact: Fact) -> str: ...
    def forms(self, name: str) -> tuple[str, ...]: ...  # how a prompt may speak of it
    def one(self, name: str) -> str: ...  # how an answer names it
    def group(self, name: str, count: int) -> str: ...
    def join(self, parts: list[str]) -> str: ...
    def caption(self, scene: Scene) -> str: ...
    def references(self, scene: Scene) -> list[str]: ...  # right captions, for CIDEr
    def is_there(self, word: str) -> str: ...
    def yes_no(self, true: bool) -> str: ...
    def one_of(self, word: str) -> str: ...  # how an answer names what need not be a concept
    def photo_caption(self, name: str, kind: str) -> str: ...


LANGUAGES: dict[str, Language] = {module.CODE: module for module in (english, chinese)}


def find_language(code: str) -> Language:
    """The language of a code such as "zh". Raises RequestError for one that is not taught."""
    if code not in LANGUAGES:
        raise RequestError(f"no questions in the language {code!r}; choose one of {', '.join(LANGUAGES)}")
    return LANGUAGES[code]
