"""Is a text one of the closed forms that the model is taught? Tells a broken sentence from one that is merely wrong."""

from __future__ import annotations

import re
from collections.abc import Collection

from lavida.data.concepts import CONCEPTS
from lavida.data.questions import a, group

_KNOWN = {group(name, count): name for name in CONCEPTS for count in range(1, 6)}
_PHOTO = re.compile(r"a photo of (?P<name>.+?)(?:, a kind of (?P<kind>[a-z][a-z ]*))?")
_NAME = re.compile(r"(?P<article>an?) (?P<name>[A-Za-z][\w'. -]*)")


def scene_caption(text: str) -> bool:
    """'two cats and a dog.': known groups with the right number, each name once, joined by commas and one 'and'."""
    if not text.endswith(".") or text != text.strip():
        return False
    head, _, last = text[:-1].rpartition(" and ")
    parts = [*head.split(", "), last] if head else [last]
    names = [_KNOWN.get(p) for p in parts]
    return None not in names and len(set(names)) == len(names)


def photo_caption(text: str, labels: Collection[str] = ()) -> bool:
    """'a photo of an X.' or 'a photo of an X, a kind of Y.'; X must be among `labels` if any are given."""
    match = _PHOTO.fullmatch(text[:-1]) if text.endswith(".") else None
    return match is not None and _named(match["name"], labels)


def caption_is_whole(text: str, labels: Collection[str] = ()) -> bool:
    """A caption in one of the two forms."""
    return scene_caption(text) or photo_caption(text, labels)


def name_is_whole(text: str, labels: Collection[str] = ()) -> bool:
    """An answer to 'What is this?': a name with its article."""
    return text in _KNOWN or _named(text, labels)


def _named(text: str, labels: Collection[str]) -> bool:
    if any(text == a(name) for name in CONCEPTS):
        return True
    match = _NAME.fullmatch(text)
    if match is None:
        return False
    words = match["name"].lower().split()
    if any(one == other for one, other in zip(words, words[1:], strict=False)):
        return False  # 'a cat cat': a word written twice
    name = match["name"]
    article = "an" if name[0].lower() in "aeiou" and not name.startswith("uni") else "a"
    return match["article"] == article and (not labels or name in labels)
