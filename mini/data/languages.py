"""The interface of a language; every question is drawn as a `Fact` first and put into words after.

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
    """Put facts into the words of one language; "word" is any noun, "name" a concept of `concepts.py`."""

    CODE: str
    TITLE: str  # in English
    COMMA: str  # what stands between the groups of a caption, before the last, and at its end
    AND: str
    STOP: str

    def prompt(self, fact: Fact) -> str:
        """Return the question about a fact."""

    def answer(self, fact: Fact) -> str:
        """Return its only right answer."""

    def forms(self, name: str) -> tuple[str, ...]:
        """Return the words by which a prompt may name a concept."""

    def one(self, name: str) -> str:
        """Return an answer that names a concept."""

    def group(self, name: str, count: int) -> str:
        """Return a name with its number."""

    def join(self, parts: list[str]) -> str:
        """Join groups as a caption does."""

    def caption(self, scene: Scene) -> str:
        """Return the caption of a scene."""

    def references(self, scene: Scene) -> list[str]:
        """Return right captions for CIDEr."""

    def is_there(self, word: str) -> str:
        """Return the question whether a thing is there that need not be a concept."""

    def yes_no(self, true: bool) -> str:
        """Return the answer to it."""

    def one_of(self, word: str) -> str:
        """Return an answer that names what need not be a concept."""

    def photo_caption(self, name: str, kind: str) -> str:
        """Return the caption of a photograph."""


LANGUAGES: dict[str, Language] = {module.CODE: module for module in (english, chinese)}


def find_language(code: str) -> Language:
    """Return the language of a code such as "zh". Raises RequestError for an unknown one."""
    if code not in LANGUAGES:
        raise RequestError(f"no questions in the language {code!r}; choose one of {', '.join(LANGUAGES)}")
    return LANGUAGES[code]
