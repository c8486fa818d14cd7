"""Answers to MathVista, MathVision and MathVerse: read from what a model wrote, and compared.

The published evaluations of MathVista and MathVerse ask a large language model to read the answer out of the text. Here
rules do, so that a figure needs no network and is the same tomorrow; docs/evaluation.md says what that changes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from lavida.eval.choice import any_letter, letters
from lavida.eval.expression import value_of
from lavida.eval.vqa import edit_distance

_QUOTED = re.compile(r'[Tt]he answer is "(.*)"\.')
_STATED = re.compile(r"(?:final |correct )?answer(?: is| should be|:)\s*:?\s*(.+)", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|-?\.\d+")
_LIST = re.compile(r"\[[^\[\]]*\]")


def read_mathvista(answer: str, *, question: str, kind: str, options: Sequence[str]) -> str:
    """Return the answer that a text to a question of MathVista gives, "" if none.

    Args:
        answer: As it was written.
        question: "multi_choice" or "free_form".
        kind: "text", "integer", "float" or "list".
        options: Texts of the options.
    """
    text = answer.strip()
    if question == "multi_choice":
        if text in options:
            return text
        if quoted := _QUOTED.search(text):
            return quoted[1]
        return any_letter(text, options) or text
    if kind == "list":
        lists = _LIST.findall(text)
        return lists[-1] if lists else text
    stated = _STATED.search(text)
    numbers = _NUMBER.findall(stated[1] if stated else text) or _NUMBER.findall(text)
    if not numbers:
        return ""
    return (numbers[0] if stated and _NUMBER.search(stated[1]) else numbers[-1]).replace(",", "")


def normal_mathvista(
    read: str, *, question: str, kind: str, options: Sequence[str], precision: float | None
) -> str | None:
    """Return an answer in the form in which MathVista compares it; None if it has none.

    An option's letter becomes its text, other texts the most similar option; numbers are rounded.
    """
    if question == "multi_choice":
        found = re.search(r"\(([a-zA-Z])\)", read)
        letter = found[1].upper() if found else read.strip()
        if letter and letter in letters(len(options)):
            return options[letters(len(options)).index(letter)]
        return min(options, key=lambda option: edit_distance(letter, option)) if options else None
    try:
        if kind == "integer":
            return str(int(float(read)))
        if kind == "float":
            return str(round(float(read), int(precision or 0)))
    except (ValueError, OverflowError):
        return None
    return read


def mathvista_match(
    answer: str, truth: str, *, question: str, kind: str, options: Sequence[str], precision: float | None
) -> bool:
    """Return whether a text answers a question of MathVista; arguments as in `read_mathvista`."""
    read = read_mathvista(answer, question=question, kind=kind, options=options)
    found = normal_mathvista(read, question=question, kind=kind, options=options, precision=precision)
    return found is not None and found.strip() == str(truth).strip()


def read_mathvision(answer: str) -> str:
    r"""Return the answer that a text to a question of MathVision gives: in \boxed, behind "the answer is", or whole."""
    text = answer.strip()
    for letter in "ABCDE":
        ends = text.endswith((f" {letter}.", f" ({letter})."))
        if ends or text.startswith((f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")):
            text = letter
    tail = text.split("is ")[-1].rstrip(".")
    if _is_number(tail):
        text = tail
    if "oxed{" in text:
        text = "\\boxed{" + text.split("oxed{")[-1]
    else:
        for sign in ("the final answer is", "the answer is", "the correct answer is", "the answer should be"):
            for form in (sign, sign.replace("the", "The")):
                if form in text:
                    text = text.split(form)[-1].strip().split("\n")[0].split(". ")[0]
    text = clean_latex(_in_box(text))
    for letter in "abcde":
        text = text.replace(f"({letter})", letter).replace(f"{{{letter}}}", letter)
    return text.rstrip(".").lstrip(":").strip()


def mathvision_match(answer: str, truth: str, options: Sequence[str] = ()) -> bool:
    """Return whether a text answers a question of MathVision, by letter, option text or value."""
    read = read_mathvision(answer)
    place = letters(len(options)).find(truth) if len(truth) == 1 else -1
    return same_value(truth, read) or (place >= 0 and same_value(options[place], read))


def mathverse_match(answer: str, truth: str, options: Sequence[str] = ()) -> bool:
    """Return whether a text answers a question of MathVerse: its option's letter or, else, the same value."""
    if options:
        return any_letter(answer.strip(), options) == truth.strip()
    stated = _STATED.search(answer)
    return any(same_value(clean_latex(truth.lower()), clean_latex(_in_box(text))) for text in _tails(answer, stated))


def _tails(answer: str, stated: re.Match[str] | None) -> list[str]:
    """Return the parts of an answer that may be the value itself."""
    whole = answer.strip().rstrip(".")
    return [whole] + ([stated[1].split("\n")[0].split(". ")[0].rstrip(".")] if stated else [])


def same_value(a: str, b: str) -> bool:
    """Return whether two answers are equal as texts, as tuples or, to two decimal places, as values."""
    a, b = a.lower().strip(), b.lower().strip()
    if not a.replace(" ", "") or not b.replace(" ", ""):
        return False
    a, b = _rounded_tuple(a), _rounded_tuple(b)
    if a == b:
        return True
    x, y = value_of(a), value_of(b)
    return x is not None and y is not None and round(x, 2) == round(y, 2)


def _rounded_tuple(text: str) -> str:
    """Return "(1/2, 3)" as "(0.5,3)"; a text that is no tuple of values as it is."""
    parts = text[1:-1].split(",")
    if text[:1] + text[-1:] not in ("()", "[]") or len(parts) < 2:
        return text
    values = [part.strip() if "infty" in part or part.strip() in ("a", "-a") else value_of(part) for part in parts]
    if None in values:
        return text
    shown = [value if isinstance(value, str) else f"{round(value or 0.0, 2):g}" for value in values]
    return text[0] + ",".join(shown) + text[-1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _in_box(text: str) -> str:
    r"""Return what stands in the last \boxed{...}, in lower case; without one, the text."""
    text = text.lower().replace("{}", "")
    found = re.findall(r"oxed{(.*)}", text, re.DOTALL)
    inner = found[-1] if found else text
    closing, opening = inner.find("}"), inner.find("{")
    return inner[:closing] if closing >= 0 and (opening < 0 or closing < opening) else inner


# Layout, units and signs that do not change a value.
_DROPPED = re.compile(
    r"\\(?:left|right|text|mbox|!|,|%)|\^{?\\circ}?|\\?\$|{m}\^3|m\^3|{?units}?|{?km}?|\s", re.IGNORECASE
)


def clean_latex(text: str) -> str:
    r"""Return an answer without layout: `\dfrac 12 \text{ cm}` and the like, and only what is behind "="."""
    text = text.split("=")[-1].split("\\approx")[-1].split("\\text{ ")[0]
    text = text.replace("\\\\", "\\").replace("∞", "\\infty").replace("+\\infty", "\\infty")
    text = text.replace("tfrac", "frac").replace("dfrac", "frac")
    text = re.sub(r"\\sqrt\s*([0-9a-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    return _DROPPED.sub("", text)


def read_list(text: str) -> list[str]:
    """Return the texts of a list that is written as Python writes it; none if it is no such list."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return [str(value) for value in found] if isinstance(found, (list, tuple)) else []
