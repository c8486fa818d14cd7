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
REQUESTS = ("Can you", "Could you", "Would you", "Do you", "Any idea")  # they end with a question mark
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
    """Return the templates of a kind, those of each line together; training leaves out whatever is held out."""
    words = LANGUAGES[language]
    lines = (words.HELD_OUT if held_out else words.TRAIN)[kind]
    apart = set() if held_out else {_alike(t) for line in templates(language, kind, True) for t in line}
    found = []
    for line in lines:
        texts = (re.sub(r" (?=[.,?!:])", "", t) for t in expand(_CLAIM.sub(r"{\1/\2}", line)))
        found.append(tuple(dict.fromkeys(t for t in texts if _alike(t) not in apart)))
    return tuple(line for line in found if line)


def _alike(template: str) -> str:
    """Return what two templates share that differ in capitals, marks or conditions only."""
    return re.sub(r"[.,?!:，。？！：]", "", re.sub(r"\{(is_\w+|several)\}", "", template)).lower()


def count_templates(language: str, kind: str, held_out: bool = False) -> int:
    """Count the distinct templates of a kind; the words for "picture" do not count."""
    return len({t for line in templates(language, kind, held_out) for t in line})


@cache
def fitting(
    language: str, kind: str, given: frozenset[str], held_out: bool, modifiers: frozenset[str]
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """Return the templates that need no other slots than those given, by line: plain ones and those with modifiers."""
    plain, modified = [], []
    for line in templates(language, kind, held_out):
        fit = [t for t in line if _needs(t) <= given]
        plain.append(tuple(t for t in fit if not _needs(t) & modifiers))
        modified.append(tuple(t for t in fit if _needs(t) & modifiers))
    return tuple(line for line in plain if line), tuple(line for line in modified if line)


def draw(
    language: str,
    kind: str,
    rng: random.Random,
    slots: dict[str, str],
    *,
    held_out: bool = False,
    modifiers: frozenset[str] = frozenset(),
    modified: bool = False,
) -> str:
    """Choose a template all of whose slots are given.

    Args:
        language: "en" or "zh".
        kind: Kind of the question.
        rng: Source of the choice.
        slots: The slots that may be filled.
        held_out: Draw from the wordings that training never sees.
        modifiers: The slots that are modifiers.
        modified: Draw a template with modifiers where there is one, otherwise one without.

    Raises:
        KeyError: If no wording of the kind can be filled.
    """
    plain, rich = fitting(language, kind, frozenset(slots), held_out, modifiers)
    lines = (rich or plain) if modified else plain
    if not lines:
        raise KeyError(kind)
    return rng.choice(rng.choices(lines, [len(line) ** 0.5 for line in lines])[0])


def complete(template: str, language: str, rng: random.Random, slots: dict[str, str]) -> str:
    """Fill the slots of a template."""
    text = re.sub(r"\{([\w/]+)\}", lambda m: slots[m.group(1)], template)
    text = text.replace("@", rng.choice(LANGUAGES[language].PICTURE)).strip()
    if text.startswith(REQUESTS) and text.endswith("."):
        text = text[:-1] + "?"
    elif text.startswith("你知道") and text.endswith("。"):
        text = text[:-1] + "吗？"
    return text[:1].upper() + text[1:]


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
    if rng.random() < 0.12 and not set(text) & set(",:，：") and not text.startswith(("Tell", "Say", "告诉")):
        text = rng.choice(_BEFORE[language]) + lower_first(text)
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


def lower_first(text: str) -> str:
    """Write the first word small, unless it is "I"."""
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
