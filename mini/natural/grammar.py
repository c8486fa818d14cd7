"""Expand the wordings' small grammar into templates and disturb questions as people type them."""

from __future__ import annotations

import random
import re
from functools import cache
from types import ModuleType

from mini.natural import wordings_chinese, wordings_english

LANGUAGES: dict[str, ModuleType] = {"en": wordings_english, "zh": wordings_chinese}

_CHOICE = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]")
_CLAIM = re.compile(r"\(~(\w+)\|~(\w+)\)")

_BEFORE = {
    "en": (
        "Please tell me: ",
        "Hi! ",
        "Hello, ",
        "Hey, ",
        "Quick question: ",
        "Excuse me, ",
        "Tell me, ",
        "OK, ",
        "And ",
    ),
    "zh": ("请问", "请问一下，", "你好，", "麻烦问一下，", "那么，", "嗨，", "请告诉我，"),
}
_AFTER = {"en": (" Thanks!", " Thank you.", " Please."), "zh": ("谢谢！", "谢谢。", "多谢。")}
_SHORT = {
    "What is": "What's", "what is": "what's", "Where is": "Where's", "isn't it": "isnt it", "I am": "I'm",
    "It is": "It's",
    "There is": "There's", "Is not": "Isn't",
}  # fmt: skip
_AMERICAN = {"colour": "color", "Colour": "Color", "grey": "gray", "recognise": "recognize", "coloured": "colored"}


def expand(line: str) -> list[str]:
    """Return every template that a line of the grammar stands for, the innermost choices first."""
    found = _CHOICE.search(line)
    if found is None:
        return [re.sub(r" +", " ", line).strip()]
    if found.group(1) is not None:
        choices = found.group(1).split("|")
    else:
        choices = ["", *found.group(2).split("|")]
    return [t for choice in choices for t in expand(line[: found.start()] + choice + line[found.end() :])]


@cache
def templates(language: str, kind: str, held_out: bool = False) -> tuple[tuple[str, ...], ...]:
    """Return the templates of a kind, those of each line together."""
    words = LANGUAGES[language]
    lines = (words.HELD_OUT if held_out else words.TRAIN)[kind]
    return tuple(
        tuple(dict.fromkeys(re.sub(r" (?=[.,?!:])", "", t) for t in expand(_CLAIM.sub(r"{\1/\2}", line))))
        for line in lines
    )


def count_templates(language: str, kind: str, held_out: bool = False) -> int:
    """Count the distinct templates of a kind; the words for "picture" do not count."""
    return len({t for line in templates(language, kind, held_out) for t in line})


def draw(
    language: str, kind: str, rng: random.Random, slots: dict[str, str], held_out: bool = False, where: str = ""
) -> str:
    """Choose a wording and fill its slots.

    A template whose slots are not all given is not chosen. `where` is a circumstance ("on the ground") that the
    question may name without its being asked about; it is left out where the template has no room for it.

    Raises:
        KeyError: If no wording of the kind can be filled.
    """
    lines = [[t for t in line if _needs(t) <= slots.keys()] for line in templates(language, kind, held_out)]
    lines = [line for line in lines if line]
    if not lines:
        raise KeyError(kind)
    weights = [len(line) ** 0.5 for line in lines]
    template = rng.choice(rng.choices(lines, weights)[0])
    if where:
        template = _add_where(template, language, where)
    text = re.sub(r"\{([\w/]+)\}", lambda m: slots[m.group(1)], template)
    text = text.replace("@", rng.choice(LANGUAGES[language].PICTURE))
    return text[:1].upper() + text[1:]


def _add_where(template: str, language: str, where: str) -> str:
    """Put a circumstance at the end of an English question, at the beginning of a Chinese one."""
    if "@" in template:
        return template
    if language == "zh":
        if template.startswith("有") or template.startswith(("几", "一共有", "是不是有")):
            return where + template
        return f"{where}的{template}" if template.startswith("{zh}") else template
    simple = template[-1] in "?." and not set(template[:-1]) & set(",:.?") and not template.startswith(("Tell", "Say"))
    simple = simple and not template[:-1].endswith(("here", "there", "anywhere"))
    return f"{template[:-1]} {where}{template[-1]}" if simple else template


def fill(line: str, language: str, rng: random.Random, fillers: dict[str, tuple[str, ...]]) -> str:
    """Choose one template of a line and draw each of its slots."""
    template = rng.choice(expand(line)).replace("@", rng.choice(LANGUAGES[language].PICTURE))
    text = re.sub(r"\{(\w+)\}", lambda m: rng.choice(fillers[m.group(1)]), template)
    return text[:1].upper() + text[1:]


@cache
def _needs(template: str) -> frozenset[str]:
    return frozenset(re.findall(r"\{([\w/]+)\}", template))


def disturb(text: str, language: str, rng: random.Random) -> str:
    """Write a question as people do: spelling, contractions, politeness, lower case, no question mark, slips."""
    if language == "en":
        if rng.random() < 0.5:
            for british, american in _AMERICAN.items():
                text = text.replace(british, american)
        if rng.random() < 0.35:
            for long, short in _SHORT.items():
                text = text.replace(long, short)
    if rng.random() < 0.12:
        text = rng.choice(_BEFORE[language]) + _lower_first(text)
    if rng.random() < 0.05 and text[-1] in "?？.。":
        text += rng.choice(_AFTER[language])
    elif rng.random() < 0.15:
        text = text.rstrip("?？.。")
    if language == "zh":
        return text.replace("？", "?") if rng.random() < 0.1 else text
    if rng.random() < 0.06:
        text = _slip(text, rng)
    case = rng.random()
    return text.lower() if case < 0.18 else text.upper() if case > 0.98 else text


def _lower_first(text: str) -> str:
    first = text.split()[0] if text.split() else text
    return text if first in ("I", "I'm") else text[:1].lower() + text[1:]


def _slip(text: str, rng: random.Random) -> str:
    """Drop, double or swap a letter inside one longer word."""
    words = text.split(" ")
    long = [i for i, w in enumerate(words) if len(w) >= 5 and w.isalpha()]
    if not long:
        return text
    i = rng.choice(long)
    word, at = words[i], rng.randrange(1, len(words[i]) - 2)
    words[i] = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )
    return " ".join(words)
