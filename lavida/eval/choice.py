"""Answers to multiple choice and to open questions of MMMU, read from what a model wrote.

Published code draws a letter at random where none can be read. Here it is drawn from the question's id, so that a
second run gives the same figure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from string import ascii_uppercase

Value = str | float

_TRIVIAL = frozenset(":,.!?;'")
_SIGNS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
# What may stand around a letter in an answer to MMBench, in the order in which it is looked for.
_AROUND = (
    ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."), (":", ""), (":", ","), (":", "."),
    (":", ")"), (":", ")."),
)  # fmt: skip


def letters(count: int) -> str:
    """Return the letters of so many options."""
    return ascii_uppercase[:count]


def drawn_letter(count: int, key: str) -> str:
    """Return a letter drawn from a question's id: always the same one."""
    return letters(count)[int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) % count]


def leading_letter(answer: str) -> str:
    """Return the letter of an answer that begins with a letter and a full stop, else the answer (AI2D)."""
    found = re.match(r"\s*([A-Z])\.", answer)
    return found[1] if found else answer


def mmmu_letter(answer: str, options: Sequence[str], key: str) -> str:
    """Return the letter that an answer to MMMU gives: "(B)", "B", "B." or an option's text; the last in the text wins.

    Args:
        answer: As it was written.
        options: Their texts.
        key: The question's id, from which a letter is drawn if none can be read.
    """
    for mark in ",.!?;:'":
        answer = answer.strip(mark)
    padded, known = f" {answer} ", letters(len(options))
    for form, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in known if form.format(letter) in padded]
        if found:
            return max(found, key=lambda letter: padded.rfind(place.format(letter))) if len(found) > 1 else found[0]
    if len(padded.split()) > 5:
        lower = padded.lower()
        named = [letter for letter, text in zip(known, options) if text.lower() in lower]
        if named:
            return max(named, key=lambda letter: lower.rfind(options[known.index(letter)].lower()))
    return drawn_letter(len(options), key)


def mmmu_open_match(answer: str, references: Sequence[str]) -> bool:
    """Return whether an answer to an open question of MMMU holds one of the references, as a text or as a number."""
    wanted = [value for reference in references for value in _normal(reference)]
    texts = [value for value in wanted if isinstance(value, str)]
    return any(
        any(text in value for text in texts) if isinstance(value, str) else value in wanted
        for value in _open_values(answer)
    )


def _open_values(answer: str) -> list[Value]:
    """Return the texts and numbers in which an answer may lie."""
    answer = answer.strip().strip(".").lower()
    parts = re.split(r"\.\s(?=[A-Z])|\n", answer)
    keys = []
    for number, part in enumerate(parts, 1):
        signs = (*_SIGNS, "=") if number == len(parts) else _SIGNS
        tails = [part.split(sign)[-1].strip() for sign in signs if sign in part]
        # The first of the shortest; an empty one gives way to what comes behind it.
        shortest = ""
        for tail in tails:
            if not shortest or len(tail) < len(shortest):
                shortest = tail
        if shortest and shortest not in _TRIVIAL:
            keys.append(shortest)
    keys = keys or [answer]
    numbers = [number for key in keys for form in _NUMBERS for number in form.findall(key)]
    return [value for text in (*keys, *numbers) for value in _normal(text)]


def _normal(text: str) -> list[Value]:
    """Return a number rounded to two places, or a text in lower case; one letter must stand beside a blank."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lower = text.lower()
        return [" " + lower, lower + " "] if len(lower) == 1 else [lower]


def mmbench_letter(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter of an answer to MMBench, by letter or by one option's text; None if neither is clear."""
    parts, known = answer.split(), "ABCDE"
    if sum(letter in parts for letter in known) == 1 and not ("A" in parts and len(parts) > 3):
        return next(letter for letter in known if letter in parts)
    for before, behind in _AROUND:
        found = [letter for letter in known if before + letter + behind in parts]
        if len(found) == 1:
            return found[0]
    lower = answer.lower()
    named = [letter for letter, text in zip(letters(len(options)), options) if text.lower() in lower]
    return named[0] if len(named) == 1 else None


def any_letter(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter that an answer gives in any usual form: a letter, "B.", "(B)", "the answer is B", a text.

    More lenient than the published readers; figures that use it are named so.
    """
    text, known = answer.strip(), letters(len(options))
    found = re.match(rf"[(\[]?([{known}])(?:[).\]:,]|\s|$)", text) or re.search(
        rf"\b(?:answer|option|choice)(?: is)?:? [(\[]?([{known}])\b", text
    )
    if found:
        return found[1]
    if len(text) == 1 and text.upper() in known:
        return text.upper()
    exact = [letter for letter, option in zip(known, options) if option.strip().lower() == text.strip(" .").lower()]
    return exact[0] if len(exact) == 1 else mmbench_letter(answer, options)
