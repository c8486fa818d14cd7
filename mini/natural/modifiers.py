"""Widen questions by modifiers that leave the answer as it is: attributes, verbs, places, relative clauses, tails."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from mini.natural import modifier_words as words
from mini.natural.choose import once
from mini.natural.grammar import LANGUAGES, REQUESTS, lower_first
from mini.natural.names import COLOURS, NAMES, article, is_a, may_be
from mini.natural.truth import Thing, Truth

DESCRIBED = 0.35  # share of "this fruit", "what animal" and the like that take an attribute besides
LEVELS = (50, 33, 17)  # shares of questions with no, one and two modifiers
MODIFIED = frozenset({"at", "lying", "part", "parts"})  # slots that are modifiers themselves

_NOUNS = ("the", "some", "text", "one_word", "a")
_COLOUR_KINDS = frozenset({"colour", "colour_main", "colour_check", "choice_colour"})
_WHERE = frozenset({"place", "side", "place_check"})
_DEFINITE = frozenset({"colour", "colour_check", "choice_colour", "doing", "doing_check"}) | _WHERE
_ATTRIBUTE = _DEFINITE | {"presence", "count", "count_check", "kind_check"}
_PLACED = _DEFINITE | {"presence", "count", "count_check"}
_TRUE_COLOUR = frozenset({"presence", "count", "count_check", "doing", "doing_check"}) | _WHERE
_IN_PLACE = _WHERE | {"name_at"}
_NAMING = frozenset({"name", "described", "which", "kind", "name_at", "choice", "doing", "kind_check"}) | _WHERE
_DESCRIBED = ("vague", "vagues", "kind", "a_kind", "main_kind", "zh_main_kind")  # slots that speak of the thing
_GENERIC = {
    "en": (
        "wall", "fence", "window", "house", "tree", "table", "chair", "door", "other things", "box", "bag", "road",
        "path", "plant", "people", "stone", "shelf", "bench", "bushes", "stairs",
    ),
    "zh": (
        "墙", "栅栏", "窗户", "房子", "树", "桌子", "椅子", "门", "盒子", "袋子", "马路", "石头", "别的东西",
        "人群",
    ),
}  # fmt: skip
_GENERIC_KEYS = {"people": "person", "shelf": "furniture", "bushes": "plant"}
_LOOSE = re.compile(r"^(So,|Now,|Help me|Look closely|Well,|One more)")
_ASKS = re.compile("什么|哪|几|多少|谁|啥")


@cache
def sort_of(key: str) -> str:
    """Return the sort of a name, a key of `modifier_words.ENGLISH`."""
    sets = (
        (words.SCENERY, "scenery"), (words.AIRCRAFT, "aircraft"), (words.FIXTURES, "fixture"),
        (words.SWIMMERS, "fish"), (words.REPTILES, "reptile"), (words.BUGS, "insect"),
    )  # fmt: skip
    for names, sort in sets:
        if any(is_a(key, name) for name in names if name in NAMES):
            return sort
    order = ("bird", "animal", "person", "boat", "vehicle", "drink", "fruit", "vegetable", "food", "plant")
    for kind in (*order, "furniture", "clothes", "building"):
        if is_a(key, kind):
            return {"vegetable": "food"}.get(kind, kind)
    return "thing"


@cache
def listed(text: str) -> tuple[str, ...]:
    """Return the entries of a list that is written with bars."""
    return tuple(text.split("|")) if text else ()


@dataclass
class Modifiers:
    """Draw the modifiers of one question.

    Args:
        kind: Kind of the question.
        language: "en" or "zh".
        truth: The picture.
        rng: Source of every choice.
        about: The name (or kind) the question is about; "" for a question about the picture as a whole.
        thing: The thing that is meant, where it is a single one.
    """

    kind: str
    language: str
    truth: Truth
    rng: random.Random
    about: str = ""
    thing: Thing | None = None
    _subject: str = field(init=False)
    _words: words.Words = field(init=False)

    def __post_init__(self) -> None:
        """Look up the words for the sort of thing."""
        self._subject = self.thing.name if self.thing is not None else self.about
        self._words = words.WORDS[self.language][sort_of(self._subject) if self._subject else "thing"]

    @property
    def chinese(self) -> bool:
        """Return True for Chinese."""
        return self.language == "zh"

    def level(self) -> int:
        """Draw the number of modifiers."""
        return self.rng.choices((0, 1, 2), LEVELS)[0]

    def slots(self) -> dict[str, str]:
        """Draw the slots by which a wording may carry modifiers of its own."""
        if not self._subject:
            return {}
        found = {"at": self.at()}
        verbs = self._verbs()
        if verbs:
            found["lying"] = self.rng.choice(verbs)
        if self.kind in _COLOUR_KINDS and (self.thing is None or self.thing.colour):
            part = self.rng.choice(listed(self._words.parts))
            plural = not self.chinese and part.endswith("s")
            found["parts" if plural else "part"] = part
        return found

    def _verbs(self) -> tuple[str, ...]:
        """Return what the thing may be said to do: only what it does, where that is known."""
        if self.thing is not None and self.thing.doing is not None:
            return () if self.chinese else (self.thing.doing,)
        tame = any(is_a(self._subject, kind) for kind in ("dog", "cat", "bear", "monkey"))
        return tuple(v for v in listed(self._words.verbs) if not (tame and v == "grazing"))

    def vague(self) -> dict[str, str]:
        """Draw a vague word for the thing ("creature") that means no other thing of the picture."""
        sort, things = sort_of(self._subject), self.truth.things
        alike = sum(_FAMILIES.get(sort_of(t.name), sort_of(t.name)) == _FAMILIES.get(sort, sort) for t in things)
        if sort == "person" or (self.chinese and sort == "bird") or alike != 1:
            return {}
        own = [w for w in listed(self._words.vague) if w not in NAMES or once(self.truth, w)]
        if len(things) > 1 and self.thing is not self.truth.main_thing:
            own = [w for w in own if w not in _ANYTHING]
        return {"vague": self.rng.choice(own)} if own else {}

    # ---- places

    def at(self) -> str:
        """Draw where the thing is said to be; nothing that is asked for follows from it."""
        draw = self.rng.random()
        if draw < 0.3:
            beside = self._beside()
            if beside:
                return beside
        places = listed(words.ANYWHERE[self.language] if draw > 0.85 else self._words.places)
        if self.kind in _IN_PLACE:
            places = tuple(p for p in places if p not in words.IN_PICTURE)
        return self.rng.choice(places)

    def _beside(self) -> str:
        """Draw a place by another thing of the picture, or by something that any picture may show."""
        others = Counter(
            t.name for t in self.truth.things if not may_be(t.name, self._subject) and not may_be(self._subject, t.name)
        )
        named = self.kind in ("name", "name_at", "which", "caption", "kind", "colour_main")
        if named and len({t.name for t in self.truth.things}) != 2:
            others.clear()
        relation = self.rng.choice(listed(words.BESIDE[self.language]))
        if others and self.rng.random() < 0.7:
            key = self.rng.choice(list(others))
            name, several = NAMES[key], others[key] > 1
            if self.chinese:
                return name.chinese + ("中间" if several and self.rng.random() < 0.4 else relation)
            if several:
                relation = self.rng.choice(("between", "among", relation))
            return f"{relation} the {name.plural if several else name.text}"
        word = self.rng.choice(_GENERIC[self.language])
        key = _GENERIC_KEYS.get(word, word)
        if self.chinese:
            return "" if word in NAMES[self._subject].chinese else word + relation
        return "" if key in NAMES and may_be(key, self._subject) else f"{relation} the {word}"

    # ---- what stands before and after the noun

    def attribute(self) -> str:
        """Draw what may stand before the noun, "" for nothing: a true colour or a neutral word."""
        if self.kind in _TRUE_COLOUR and self.rng.random() < 0.3:
            colour = self._true_colour()
            if colour:
                return f"{COLOURS[colour]}的" if self.chinese else colour.replace("gray", "grey")
        return self.rng.choice(listed(words.WORDS[self.language][sort_of(self.about)].attributes))

    def _true_colour(self) -> str:
        """Return the colour of all things called so; of what is not there any colour is as good."""
        if self.truth.monochrome or sort_of(self.about) == "person":
            return ""
        if self.thing is not None:
            return self.thing.colour or ""
        own = [t.colour for t in self.truth.things if may_be(t.name, self.about)]
        if not own:
            return self.rng.choice(list(COLOURS))
        return (own[0] or "") if len(set(own)) == 1 else ""

    def after(self, two: bool) -> str:
        """Draw what may stand after an English noun (before a Chinese one): a place, a verb, a relative clause."""
        if self.kind in _DEFINITE and self.rng.random() < 0.3:
            return self.rng.choice(listed(words.RELATIVES[self.language]))
        place = self.at()
        verbs = () if self.kind.startswith("doing") else self._verbs()
        if two and verbs:
            verb = self.rng.choice(verbs)
            return f"{verb}在{place}的" if self.chinese else f"{verb} {place}"
        return place + "的" if self.chinese else place

    # ---- putting them in

    def apply(self, template: str, slots: dict[str, str], level: int) -> tuple[str, dict[str, str], bool]:
        """Put at most `level` modifiers around the noun of a template.

        Returns:
            The template, its slots and whether the question may still take a modifier as a whole.
        """
        slots = dict(slots)
        done = 0
        noun = self.about and re.search(r"\{zh\}" if self.chinese else r"\{(the|some|text|one_word|a)\}", template)
        if noun and level and self.kind in _PLACED and _has_room(template, self.language) and self.rng.random() < 0.5:
            two = level == 2 and self.rng.random() < 0.4
            self._put(slots, "", self.after(two))
            done += 1 + two
        allowed = self.kind in _ATTRIBUTE and not (self.chinese and self.kind == "kind_check")
        if noun and done < level and allowed and self.rng.random() < 0.6:
            self._put(slots, self.attribute(), "")
            done += 1
        if noun and done < level and self.kind in _DEFINITE and not self.chinese and sort_of(self.about) != "person":
            if self.rng.random() < 0.4 and " the {the}" in template and "'s" not in template:
                template = template.replace(" the {the}", self.rng.choice((" my", " our", " that", " this")) + " {the}")
                done += 1
        described = [slot for slot in _DESCRIBED if f"{{{slot}}}" in template and slots.get(slot)]
        odds = 2 * DESCRIBED if self.kind == "described" else DESCRIBED
        if described and self.kind in _NAMING and self.rng.random() < odds:
            self._describe(slots, described)
            done += 1
        return template, slots, done < level

    def _describe(self, slots: dict[str, str], described: list[str]) -> None:
        """Put an attribute before the words for a thing that is not named: "this red fruit", "the small animal"."""
        colour = self.thing.colour if self.thing is not None and not self.truth.monochrome else None
        if self._subject and sort_of(self._subject) == "person":
            colour = None
        said = [] if self.rng.random() < 0.35 else [self.rng.choice(listed(self._words.attributes))]
        if colour and (not said or self.rng.random() < 0.4):
            said.append(f"{COLOURS[colour]}的" if self.chinese else colour.replace("gray", "grey"))
        if not said:
            return
        for slot in described:
            if self.chinese:
                slots[slot] = "".join(said) + slots[slot]
            elif slot == "a_kind":
                slots[slot] = f"{article(said[0])} {' '.join(said)} {slots[slot].partition(' ')[2]}"
            else:
                slots[slot] = f"{' '.join(said)} {slots[slot]}"

    def _put(self, slots: dict[str, str], before: str, after: str) -> None:
        """Put words before and after the noun in each of its forms."""
        if self.chinese:
            slots["zh"] = after + before + slots["zh"]
            return
        for slot in _NOUNS:
            text = slots.get(slot, "")
            if not text:
                continue
            if slot == "a" and before:
                first, _, rest = text.partition(" ")
                text = f"{first if first == 'any' else article(before)} {before} {rest}"
            elif before:
                text = f"{before} {text}"
            slots[slot] = f"{text} {after}" if after else text

    def around(self, text: str) -> str:
        """Put a lead before a question or a tail after it."""
        text = self._around_chinese(text) if self.chinese else self._around_english(text)
        return text.replace("@", self.rng.choice(LANGUAGES[self.language].PICTURE))

    def _around_english(self, text: str) -> str:
        asks, simple = text.endswith("?"), not set(text[:-1]) & set(",.:?")
        if not simple or text.startswith("I "):
            return text
        if asks and not text.startswith(REQUESTS) and self.rng.random() < 0.35:
            tails = listed(words.TAILS["en"])
            return text[:-1] + self.rng.choice([s for s in tails if "please" not in text.lower() or "please" not in s])
        leads = listed(words.LEADS["en"])
        return self.rng.choice([s for s in leads if asks or _LOOSE.match(s)]) + lower_first(text)

    def _around_chinese(self, text: str) -> str:
        simple = text.endswith("？") and not set(text[:-1]) & set("，。：？")
        if not simple:
            return text
        draw = self.rng.random()
        open_ = bool(_ASKS.search(text))
        if draw < 0.3 and (open_ or "还是" in text) and text[-2] not in "吗呢":
            return text[:-1] + self.rng.choice("呢呢呀啊") + "？"
        if draw < 0.5:
            tails = [s for s in listed(words.TAILS["zh"]) if open_ or s not in ("，你知道吗？", "，能看出来吗？")]
            return text[:-1] + self.rng.choice([s for s in tails if not open_ or s != "，你觉得呢？"])
        return self.rng.choice(listed(words.LEADS["zh"])) + text


_FAMILIES = {
    **dict.fromkeys(("bird", "fish", "insect", "reptile", "animal"), "creature"),
    **dict.fromkeys(("food", "fruit"), "food"),
    **dict.fromkeys(("vehicle", "boat", "aircraft"), "vehicle"),
}
_ANYTHING = frozenset({"thing", "object", "item", "东西", "物体", "物品"})
_CROWDED = re.compile(
    r"\{(the|some|text|one_word|a)\}('s| here| there| anywhere| in (the|this) @| in it|,| to be| shown| visible| part|"
    r" in\b| or\b| got| \{)|@ of \{"
)
_CHINESE_ROOM = re.compile(r"(^|[，。这那]|这\{measure\}|那\{measure\}|告诉我|知道|看出|在找|觉得|看上去)\{zh\}")


def _has_room(template: str, language: str) -> bool:
    """Return True if a place may follow the noun of a template (precede it in Chinese)."""
    if MODIFIED & set(re.findall(r"\{(\w+)\}", template)):
        return False
    if language == "zh":
        return bool(_CHINESE_ROOM.search(template)) and "的{zh}" not in template
    return not _CROWDED.search(template) and "@" not in template
