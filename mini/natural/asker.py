"""Hold a question, and what the writers of questions share."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from mini.natural import phrases
from mini.natural.choose import mentions, once
from mini.natural.grammar import complete, disturb, draw
from mini.natural.modifiers import MODIFIED, Modifiers, sort_of
from mini.natural.names import KINDS, NAMES, plural_of
from mini.natural.truth import Thing, Truth

_SURFACES = {
    "en": (
        "sign", "label", "shirt", "screen", "book cover", "shop", "number plate", "poster", "board", "door", "box",
        "bottle", "package", "banner", "page", "wall", "side of the car", "can", "display", "street sign", "menu",
        "ticket", "newspaper", "flag", "truck", "bus", "cup", "T-shirt", "card", "billboard",
    ),
    "zh": (
        "牌子", "标签", "衣服", "屏幕", "书的封面", "商店招牌", "车牌", "海报", "黑板", "门", "盒子", "瓶子", "包装",
        "横幅", "墙", "车身", "路牌", "菜单", "票", "报纸", "旗子", "杯子", "卡片", "广告牌",
    ),
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
        self,
        kind: str,
        answer: str,
        slots: dict[str, str],
        *,
        about: str = "",
        thing: Thing | None = None,
        wording: str = "",
        yes: bool | None = None,
    ) -> Asked:
        """Put a question into words.

        Args:
            kind: Kind of the question.
            answer: Its answer.
            slots: What its wording may name.
            about: The name it is about; "" for the picture as a whole.
            thing: The thing it is about, where it is a single one.
            wording: The kind whose wordings it takes, if not its own.
            yes: Whether the answer is yes or no.
        """
        modifiers = Modifiers(wording or kind, self.language, self.truth, self.rng, about, thing)
        text = self._put(wording or kind, slots, modifiers)
        return Asked(
            kind=kind, language=self.language, question=disturb(text, self.language, self.rng), answer=answer, yes=yes
        )

    def _put(self, kind: str, slots: dict[str, str], modifiers: Modifiers) -> str:
        """Choose a wording and its modifiers; wordings that training never sees take none."""
        if self.held_out:
            return complete(draw(self.language, kind, self.rng, slots, held_out=True), self.language, self.rng, slots)
        level = modifiers.level()
        rich = level > 0 and self.rng.random() < 0.6
        given = slots | modifiers.slots() if rich else slots
        template = draw(self.language, kind, self.rng, given, modifiers=MODIFIED, modified=rich)
        used = len(MODIFIED & set(re.findall(r"\{(\w+)\}", template)))
        template, given, room = modifiers.apply(template, given, max(0, level - used))
        text = complete(template, self.language, self.rng, given)
        return modifiers.around(text) if room and level > used else text

    def main_kind(self, main: Thing) -> dict[str, str]:
        """Return the slot for the most general kind of the main thing, if it has one."""
        kinds = [k for k in NAMES[main.name].kinds if k in KINDS]
        if not kinds:
            return {}
        kind = self.rng.choice((kinds[0], kinds[-1]))
        return {"main_kind": NAMES[kind].bare or NAMES[kind].text, "zh_main_kind": NAMES[kind].chinese}

    def flags(self, key: str, thing: Thing | None = None) -> dict[str, str]:
        """Return slots that are empty words: a wording that names one is taken only where it holds."""
        found = {f"is_{sort_of(key)}": ""}
        if sum(t.name == key for t in self.truth.things) > 1:
            found["several"] = ""
        if thing is not None:
            vague = Modifiers("name", self.language, self.truth, self.rng, key, thing).vague()
            found |= vague
            if vague and not self.chinese:
                found["vagues"] = plural_of(vague["vague"])
        return found

    def surface(self) -> dict[str, str]:
        """Return the slot for something that may bear a text."""
        return {"surface": self.rng.choice(_SURFACES[self.language])}

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
