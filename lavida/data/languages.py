"""What a language must be able to say; every question is drawn as a `Fact` first and put into words after."""

from __future__ import annotations

from typing import Protocol

from lavida.data import chinese, english
from lavida.data.facts import Fact
from lavida.data.scenes import Scene
from lavida.errors import RequestError


class Language(Protocol):
    """The words of one language: a module with these functions."""

    code: str
    TITLE: str
    COMMA: str
    AND: str
    STOP: str

    def prompt(self, fact: Fact) -> str: ...
    def answer(self, fact: Fact) -> str: ...
    def forms(self, name: str) -> tuple[str, ...]: ...
    def one(self, name: str) -> str: ...
    def group(self, name: str, count: int) -> str: ...
    def join(self, parts: list[str]) -> str: ...
    def caption(self, scene: Scene) -> str: ...
    def references(self, scene: Scene) -> list[str]: ...
    def is_there(self, word: str) -> str: ...
    def yes_no(self, true: bool) -> str: ...
    def one_of(self, word: str) -> str: ...
    def photo_caption(self, name: str, kind: str) -> str: ...


LANGUAGES: dict[str, Language] = {module.code: module for module in (english, chinese)}


def find_language(code: str) -> Language:
    """The language of a code such as "zh". Raises RequestError for one that is not taught."""
    if code not in LANGUAGES:
        raise RequestError(f"no questions in the language {code!r}; choose one of {', '.join(LANGUAGES)}")
    return LANGUAGES[code]
