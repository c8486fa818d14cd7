"""The closed forms of text that the model is taught: they tell a broken sentence from one that is merely wrong."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from mini.data.concepts import CONCEPTS
from mini.data.languages import LANGUAGES

# How a photograph's caption is read back: what it names, then its kind.
_PHOTO = {
    "en": r"a photo of (?P<said>.+?)(?:, a kind of [a-z][a-z ]*)?\.",
    "zh": r"照片里是(?P<said>.+?)(?:，一种[^\s，。、？]+)?。",
}
_NAME = {"en": r"an? (?P<name>[A-Za-z][\w'. -]*)", "zh": r"(?P<name>[^\s，。、？]+)"}


@dataclass(frozen=True, kw_only=True)
class _Forms:
    """Hold the forms of one language."""

    groups: dict[str, str]  # "two cats" -> the concept
    group: re.Pattern[str]
    caption: re.Pattern[str]
    photo: re.Pattern[str]
    name: re.Pattern[str]
    names: frozenset[str]


@cache
def _forms(language: str) -> _Forms:
    words = LANGUAGES[language]
    groups = {words.group(name, count): name for name in CONCEPTS for count in range(1, 6)}
    group = "|".join(map(re.escape, sorted(groups, key=len, reverse=True)))
    comma, last, stop = (re.escape(w) for w in (words.COMMA, words.AND, words.STOP))
    return _Forms(
        groups=groups,
        group=re.compile(group),
        caption=re.compile(f"(?:(?:{group})(?:{comma}(?:{group}))*{last})?(?:{group}){stop}"),
        photo=re.compile(_PHOTO[language]),
        name=re.compile(_NAME[language]),
        names=frozenset(map(words.one, CONCEPTS)),
    )


def is_scene_caption(text: str, language: str = "en") -> bool:
    """Match 'two cats and a dog.': known groups, right plurals, each name once, joined by commas and one 'and'."""
    forms = _forms(language)
    if not forms.caption.fullmatch(text):
        return False
    names = [forms.groups[found] for found in forms.group.findall(text)]
    return len(set(names)) == len(names)


def is_photo_caption(text: str, labels: Collection[str] = (), language: str = "en") -> bool:
    """Match 'a photo of an X.' or 'a photo of an X, a kind of Y.'; X must be among `labels` if any are given."""
    match = _forms(language).photo.fullmatch(text)
    return match is not None and _is_name(match["said"], labels, language)


def is_well_formed_caption(text: str, labels: Collection[str] = (), language: str = "en") -> bool:
    """Report whether a caption has one of the two forms."""
    return is_scene_caption(text, language) or is_photo_caption(text, labels, language)


def is_well_formed_name(text: str, labels: Collection[str] = (), language: str = "en") -> bool:
    """Report whether an answer to 'What is this?' is a name with its article."""
    return text in _forms(language).groups or _is_name(text, labels, language)


def _is_name(text: str, labels: Collection[str], language: str) -> bool:
    forms = _forms(language)
    if text in forms.names:
        return True
    match = forms.name.fullmatch(text)
    if match is None:
        return False
    words = match["name"].lower().split()
    if any(one == other for one, other in zip(words, words[1:], strict=False)):
        return False  # 'a cat cat': a word written twice
    name = match["name"]
    return text == LANGUAGES[language].one_of(name) and (not labels or name in labels)
