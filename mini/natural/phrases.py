"""Write the answers: one form for each kind of question, in the language of the question."""

from __future__ import annotations

from collections.abc import Sequence

from mini.natural.names import ACTIONS, COLOURS, NAMES, article

CANNOT_TELL = {"en": "I cannot tell from the picture.", "zh": "看图无法判断。"}
NUMBERS = {
    "en": ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "zh": ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九", "十"),
}
PLACES = {
    "": ("in the middle", "中间"), "left": ("on the left", "左边"), "right": ("on the right", "右边"),
    "top": ("at the top", "上边"), "bottom": ("at the bottom", "下边"), "top left": ("at the top left", "左上角"),
    "top right": ("at the top right", "右上角"), "bottom left": ("at the bottom left", "左下角"),
    "bottom right": ("at the bottom right", "右下角"),
}  # fmt: skip


def one(key: str, language: str) -> str:
    """Return a thing as an answer names it: "a dog", "狗"."""
    return NAMES[key].one if language == "en" else NAMES[key].chinese


def many(key: str, number: int, language: str) -> str:
    """Return a number of things: "two dogs", "两条狗", "no dogs", "没有狗"."""
    name = NAMES[key]
    if language == "zh":
        if number == 0:
            return f"没有{name.chinese}"
        return f"{count_word(number, language)}{name.measure if number <= 10 else ''}{name.chinese}"
    return f"{count_word(number, language)} {name.text if number == 1 else name.plural}"


def count_word(number: int, language: str) -> str:
    """Return a number as a word; beyond ten "many"."""
    return NUMBERS[language][number] if number <= 10 else ("many" if language == "en" else "很多")


def place(where: str, language: str) -> str:
    """Return a place: "on the left", "左边"."""
    return PLACES[where][language == "zh"]


def colour(word: str, language: str) -> str:
    """Return a colour: "red", "红色"."""
    return word if language == "en" else COLOURS[word]


def doing(word: str, language: str) -> str:
    """Return an activity: "running", "在跑"."""
    return word if language == "en" else f"在{ACTIONS[word]}"


def there_is(key: str, yes: bool, language: str) -> str:
    """Answer whether something is there."""
    name = NAMES[key]
    if language == "zh":
        return f"有，图里有{name.chinese}。" if yes else f"没有，图里没有{name.chinese}。"
    return f"Yes, there is {name.one}." if yes else f"No, there is no {name.text}."


def there_are(key: str, yes: bool, number: int, language: str) -> str:
    """Answer whether there are so many; `number` is the right one."""
    if language == "zh":
        if number == 0:
            return f"不是，{many(key, 0, language)}。"
        return f"{'是' if yes else '不是'}，有{many(key, number, language)}。"
    return f"{'Yes' if yes else 'No'}, there {'is' if number == 1 else 'are'} {many(key, number, language)}."


def it_is(what: str, yes: bool, language: str) -> str:
    """Answer a yes/no question about it with what it is: "No, it is red.", "不是，是红色。"."""
    if language == "zh":
        return f"{'是' if yes else '不是'}，{what if what.startswith('在') else '是' + what}。"
    return f"{'Yes' if yes else 'No'}, it is {what}."


def join(parts: Sequence[str], language: str) -> str:
    """Return "a, b and c" or "甲、乙和丙"."""
    comma, last = (", ", " and ") if language == "en" else ("、", "和")
    return parts[0] if len(parts) == 1 else comma.join(parts[:-1]) + last + parts[-1]


def group(key: str, number: int, word: str | None, language: str) -> str:
    """Return things of one name with their colour: "a red car", "一辆红色的汽车"."""
    name = NAMES[key]
    if language == "zh":
        middle = f"{COLOURS[word]}的" if word else ""
        return f"{count_word(number, language)}{name.measure if number <= 10 else ''}{middle}{name.chinese}"
    coloured = f"{word} " if word else ""
    if number == 1:
        text = coloured + name.text
        return f"{article(text)} {text}"
    return f"{count_word(number, language)} {coloured}{name.plural}"


def caption(groups: Sequence[str], monochrome: bool, language: str) -> str:
    """Return the caption of a photograph."""
    if language == "zh":
        return f"{'黑白' if monochrome else ''}照片里有{join(groups, language)}。"
    return f"a {'black and white ' if monochrome else ''}photo of {join(groups, language)}."


def it_says(text: str, language: str) -> str:
    """Return what was read."""
    return f"It says {text}." if language == "en" else f"写着{text}。"
