"""Hold a question, and what the writers of questions share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from mini.natural import phrases
from mini.natural.choose import mentions, once
from mini.natural.grammar import disturb, draw
from mini.natural.names import KINDS, NAMES
from mini.natural.truth import Thing, Truth

_WITH_CIRCUMSTANCE = frozenset({"presence", "count", "which", "doing", "colour"})
_CIRCUMSTANCES = {
    "en": (
        "on the ground", "in the room", "in the street", "over there", "in the foreground", "near the camera",
        "outside",
        "further back", "close by", "in front", "in this scene", "at the side", "in the water", "on the floor",
        "up there",
    ),
    "zh": ("地上", "前面", "远处", "街上", "屋子里", "角落里", "近处", "后面", "这儿", "水里", "外面", "边上"),
}  # fmt: skip
_CLAIMS = {  # slot -> the words for the first and the second claim
    "en": {
        "in/out": (("indoors", "inside"), ("outdoors", "outside", "in the open air")),
        "indoor/outdoor": (("indoor",), ("outdoor",)),
        "day/night": (("day", "daytime"), ("night", "nighttime")),
        "by_day/by_night": (("by day", "during the day", "in the daytime"), ("by night", "at night")),
        "mono/colour": (("black and white", "in black and white", "monochrome"), ("in colour", "a colour photo")),
        "mono_a/colour_a": (("black and white", "monochrome"), ("colour",)),
        "bw/incolour": (("black and white",), ("colour",)),
        "bw2/coloured": (("black and white",), ("coloured",)),
        "nocolours/colours": (("black, white and grey only",), ("colours",)),
        "dark/bright": (("dark",), ("bright",)),
    },
    "zh": {
        "in/out": (("室内", "屋里", "房间里"), ("室外", "外面", "户外")),
        "day/night": (("白天",), ("晚上", "夜里", "夜晚")),
        "light/black": (("亮",), ("黑",)),
        "mono/colour": (("黑白",), ("彩色",)),
        "dark/bright": (("暗",), ("亮",)),
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Hold a question about a picture and its answer.

    Args:
        kind: A key of `mini.natural.ask.WEIGHTS`.
        language: "en" or "zh".
        question: The question as a person would type it.
        answer: Its answer.
        yes: Whether the answer is yes or no; None for a question that is neither.
    """

    kind: str
    language: str
    question: str
    answer: str
    yes: bool | None = None


@dataclass(frozen=True)
class Asker:
    """Hold what the writers of questions need."""

    truth: Truth
    rng: random.Random
    language: str
    held_out: bool

    @property
    def chinese(self) -> bool:
        """Return True if the questions are Chinese."""
        return self.language == "zh"

    def words(self, key: str, any_word: bool = True, bare: bool = False) -> dict[str, str]:
        """Return the slots that speak of a name, under its own word or a synonym."""
        name, rng = NAMES[key], self.rng
        others = name.chinese_synonyms if self.chinese else name.synonyms
        text, plural, chinese = name.text, name.plural, name.chinese
        if any_word and others and rng.random() < 0.3:
            if self.chinese:
                chinese = rng.choice(name.chinese_synonyms)
            else:
                text, plural = rng.choice(name.synonyms)
        slots = {"zh": chinese, "measure": name.measure, "the": text, "text": text, "some": plural, "one_word": text}
        slots["a"] = phrases.article(text) + " " + text
        if bare and name.bare and rng.random() < 0.6:
            slots |= {"some": name.bare, "text": name.bare, "one_word": name.bare, "a": f"any {name.bare}"}
        return slots

    def ask(
        self, kind: str, answer: str, slots: dict[str, str], *, wording: str = "", yes: bool | None = None
    ) -> Asked:
        """Put a question into words."""
        where = self.circumstance(kind, slots) if kind in _WITH_CIRCUMSTANCE and self.rng.random() < 0.25 else ""
        text = draw(self.language, wording or kind, self.rng, slots, self.held_out, where)
        return Asked(
            kind=kind, language=self.language, question=disturb(text, self.language, self.rng), answer=answer, yes=yes
        )

    def main_kind(self, main: Thing) -> dict[str, str]:
        """Return the slot for the most general kind of the main thing, if it has one."""
        kinds = [k for k in NAMES[main.name].kinds if k in KINDS]
        if not kinds:
            return {}
        kind = self.rng.choice((kinds[0], kinds[-1]))
        return {"main_kind": NAMES[kind].bare or NAMES[kind].text, "zh_main_kind": NAMES[kind].chinese}

    def circumstance(self, kind: str, slots: dict[str, str]) -> str:
        """Return where the thing asked about is supposed to be; the answer does not depend on it."""
        main = self.truth.main_thing
        own = (
            {w for k in mentions(main.name) for w in (NAMES[k].chinese, *NAMES[k].chinese_synonyms)} if main else set()
        )
        if main and kind == "presence" and slots["zh"] not in own and self.rng.random() < 0.4:
            return f"{NAMES[main.name].chinese}边上" if self.chinese else f"beside the {NAMES[main.name].text}"
        return self.rng.choice(_CIRCUMSTANCES[self.language])

    def claim(self, kind: str, first: bool, answer: str, yes: bool) -> Asked:
        """Ask whether the first or the second claim of a pair holds."""
        slots = {s: self.rng.choice(pair[0 if first else 1]) for s, pair in _CLAIMS[self.language].items()}
        return self.ask(kind, answer, slots, yes=yes)

    def reference(self, thing: Thing) -> str | None:
        """Return a name or kind that means this thing and no other of the picture."""
        found = [k for k in mentions(thing.name) if once(self.truth, k)]
        if not found:
            return None
        return found[0] if found[0] == thing.name and self.rng.random() < 0.75 else self.rng.choice(found)

    def pick(self, test: Callable[[Thing], bool]) -> tuple[Thing, str] | None:
        """Choose a thing that passes a test and can be spoken of; the main thing more often."""
        main = self.truth.main_thing
        things = [t for t in self.truth.things if test(t)]
        if main is not None and test(main) and self.rng.random() < 0.5:
            things = [main]
        self.rng.shuffle(things)
        return next(((t, word) for t in things if (word := self.reference(t)) is not None), None)
