"""Judge free answers to natural questions strictly, by written rules.

An answer is first normalized: lower case, punctuation to spaces, English words kept whole. It is right if

- it is in the language of the question (Chinese characters in a Chinese answer, none in an English one; a number, or a
  text that was read, may stand in either),
- questions answered with yes or no (`yes` is set): it begins with a word for yes or for no,
or with the statement that
  the thing is (not) there, and that is the right one;
- "unanswerable": it says that this cannot be told;
- "count": the first number in it, as a word or in digits, is an accepted one;
- "colour": the first colour word in it is an accepted one;
- all others: it holds an accepted word and no rejected one. English words match as whole words or with a plural ending,
  and a stem such as "smil" matches the beginning of a word; Chinese words match anywhere.

A "cannot tell" is wrong wherever the picture does tell.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mini.natural.names import COLOURS
from mini.natural.photos import PhotoQuestion

# Kind of a question of split (v) -> its row in the table of figures.
ROWS = {
    "name": "name", "presence": "presence", "count": "count", "colour": "colour", "colourcheck": "colour",
    "place": "place", "placecheck": "place", "choice": "choice", "kindcheck": "kind", "scene": "scene",
    "scenecheck": "scene", "time": "scene", "timecheck": "scene", "mono": "scene", "monocheck": "scene",
    "doing": "doing", "text": "text", "unanswerable": "unanswerable",
}  # fmt: skip

_CHINESE = re.compile(r"[㐀-鿿]")
_YES = re.compile(
    r"^(yes|yeah|yep|true|correct|right|sure|certainly|definitely|of course|i (can|do) see"
    r"|there (is|are) (?!no\b|not\b)|it (is|does) (?!not\b))\b"
    r"|^there (is|are) (?!no\b|not\b)"
)
_NO = re.compile(
    r"^(no|nope|not|false|wrong|none|nothing|nobody|there (is|are) (no|not)|it (is|does) not|it isn t"
    r"|i (cannot|can t|do not|don t) see)\b"
)
_YES_ZH = re.compile(r"^(是|有|对|能|可以|看得到|看到|确定|没错|会|嗯)")
_NO_ZH = re.compile(r"^(不|没有|没(?!错)|无|否|看不到)")
_CANNOT = re.compile(
    r"\b(cannot|can t|can not|could not|couldn t|unable to) (be )?"
    r"(tell|told|say|said|know|known|see|answer|answered|determine|determined)\b"
    r"|\b(do not|don t) know\b|\bnot (known|visible|shown|possible to (tell|say))\b|\bunknown\b"
    r"|\bimpossible to (tell|say|know)\b|\bpicture does not (say|tell|show)\b|\bno idea\b"
)
_CANNOT_ZH = re.compile(r"无法|不知道|看不出|不能(判断|确定|看出|回答|知道)|不清楚|不确定|判断不了|说不准|没法")
_NUMBERS = {
    "no": 0, "none": 0, "zero": 0, "one": 1, "a": 1, "an": 1, "single": 1, "two": 2, "pair": 2, "couple": 2,
    "three": 3,
    "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
    "dozen": 12,
}  # fmt: skip
_NUMBERS_ZH = {
    "零": 0,
    "没有": 0,
    "一": 1,
    "两": 2,
    "二": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "十": 10,
}
_COLOUR_WORDS = (*COLOURS, "tan", "beige", "golden", "silver", "violet")
_COLOURS_ZH = "红橙黄绿蓝紫粉棕褐黑白灰金银"
_STEM = frozenset("smil strol graz walk stand fly soar land look shoot sit play run laugh grin photo film".split())


class Verdict(NamedTuple):
    """Hold what is wrong or right about an answer.

    Args:
        right: The answer is accepted.
        cannot_tell: It says that the picture does not tell.
        wrong_language: It is in another language than the question.
        broken: It is empty, or stops in the middle of a sentence.
    """

    right: bool
    cannot_tell: bool
    wrong_language: bool
    broken: bool


def normalize(text: str) -> str:
    """Return the text in lower case with single spaces in place of punctuation."""
    return re.sub(r"[^\w]+", " ", text.lower().replace("_", " ")).strip()


def says_cannot(answer: str) -> bool:
    """Return True if the answer says that this cannot be told, in either language."""
    return bool(_CANNOT.search(normalize(answer)) or _CANNOT_ZH.search(answer))


def yes_or_no(answer: str) -> bool | None:
    """Return what the answer to a yes/no question says; None if it says neither."""
    if says_cannot(answer):
        return None
    text = normalize(answer)
    if _CHINESE.search(answer):
        return False if _NO_ZH.match(text) else True if _YES_ZH.match(text) else None
    return False if _NO.match(text) else True if _YES.match(text) else None


def first_number(answer: str) -> int | None:
    """Return the first number in an answer."""
    found = re.search(r"\d+|没有|[零一二两三四五六七八九十]", answer) if _CHINESE.search(answer) else None
    if found:
        return int(found[0]) if found[0].isdigit() else _NUMBERS_ZH[found[0]]
    for word in normalize(answer).split():
        if word.isdigit():
            return int(word)
        if word in _NUMBERS:
            return _NUMBERS[word]
    return None


def first_colour(answer: str) -> str | None:
    """Return the first colour word in an answer; in Chinese its first character."""
    if _CHINESE.search(answer):
        return next((c for c in answer if c in _COLOURS_ZH), None)
    words = normalize(answer).replace("grey", "gray").split()
    return next((w for w in words if w in _COLOUR_WORDS), None)


def holds(answer: str, word: str) -> bool:
    """Return True if an answer holds a word."""
    if _CHINESE.search(word):
        return word in answer
    text, word = normalize(answer), normalize(word)
    ending = r"\w*" if word in _STEM else r"(s|es)?"
    return re.search(rf"\b{re.escape(word)}{ending}\b", text) is not None


def in_language(answer: str, language: str, kind: str = "") -> bool:
    """Return True if the answer is in the language of its question."""
    if not re.search(r"[^\W\d]", answer) or kind == "text":
        return True
    return bool(_CHINESE.search(answer)) == (language == "zh")


def is_broken(answer: str) -> bool:
    """Return True if an answer is empty or stops in the middle."""
    text = normalize(answer)
    if not text or "\ufffd" in answer:
        return True
    ends = text.split()[-1] in {"a", "an", "the", "of", "and", "is", "are", "on", "in", "at", "no", "with"}
    return ends and text not in ("no",)


def judge(question: PhotoQuestion, answer: str) -> Verdict:
    """Judge one answer by the rules of this module."""
    cannot, language = says_cannot(answer), in_language(answer, question.language, question.kind)
    right = not is_broken(answer) and language and _accepted(question, answer, cannot)
    return Verdict(right, cannot, not language, is_broken(answer))


def _accepted(question: PhotoQuestion, answer: str, cannot: bool) -> bool:
    if question.kind == "unanswerable":
        return cannot
    if cannot:
        return False
    if question.yes is not None:
        return yes_or_no(answer) is question.yes
    if question.kind == "count":
        return first_number(answer) in {first_number(word) for word in question.accept}
    if question.kind == "colour":
        colour = first_colour(answer)
        return colour in {w.replace("grey", "gray") for w in question.accept}
    return any(holds(answer, w) for w in question.accept) and not any(holds(answer, w) for w in question.reject)
