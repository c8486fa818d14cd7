"""Write natural questions about a picture whose truth is known, each with its answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from mini.natural import phrases, wordings_unanswerable
from mini.natural.choose import absent, action_besides, mentions, once, place_of
from mini.natural.grammar import disturb, draw, fill
from mini.natural.names import ACTIONS, COLOURS, KINDS, NAMES, is_a, may_be
from mini.natural.phrases import CANNOT_TELL
from mini.natural.truth import Thing, Truth

# kind -> how often it is asked, where the truth allows it
WEIGHTS = {
    "name": 12.0, "which": 6.0, "caption": 8.0, "presence": 18.0, "count": 8.0, "count_check": 3.0, "colour": 8.0,
    "colour_main": 3.0, "colour_check": 5.0, "place": 6.0, "place_check": 4.0, "name_at": 3.0, "choice": 5.0,
    "choice_colour": 2.0, "kind": 2.0, "kind_check": 5.0, "scene": 3.0, "scene_check": 2.0, "daytime": 2.0,
    "daytime_check": 1.5, "mono": 2.0, "mono_check": 1.5, "brightness_check": 1.0, "doing": 3.0, "doing_check": 2.0,
    "text": 4.0, "text_check": 2.0, "sure": 2.0, "unanswerable": 12.0,
}  # fmt: skip
_COLOURLESS = frozenset({"black", "white", "gray"})
_NEAR_COLOURS = (
    {"red", "orange", "pink", "brown"}, {"orange", "yellow", "brown"}, {"yellow", "white"}, {"green", "blue"}, {"blue", "purple"},
    {"purple", "pink"}, {"gray", "white"}, {"gray", "black"}, {"gray", "blue"}, {"gray", "brown"}, {"brown", "black"},
)  # fmt: skip
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
        kind: A key of `WEIGHTS`.
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
class _Asker:
    """Hold what the writers of questions need."""

    truth: Truth
    rng: random.Random
    language: str
    held_out: bool

    @property
    def chinese(self) -> bool:
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
        text = draw(self.language, wording or kind, self.rng, slots, self.held_out)
        return Asked(
            kind=kind, language=self.language, question=disturb(text, self.language, self.rng), answer=answer, yes=yes
        )

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


def _name(a: _Asker) -> Asked | None:
    main = a.truth.main_thing
    return None if main is None else a.ask("name", phrases.one(main.name, a.language), {})


def _which(a: _Asker) -> Asked | None:
    found = [(t, k) for t in a.truth.things for k in NAMES[t.name].kinds if k in KINDS and once(a.truth, k)]
    if not found:
        return None
    thing, kind = a.rng.choice(found)
    name = NAMES[kind]
    if a.chinese:
        slots = {"kind": name.chinese}
    else:
        word = name.bare or name.text
        slots = {"kind": word, "a_kind": name.one}
    return a.ask("which", phrases.one(thing.name, a.language), slots)


def _groups(truth: Truth) -> list[tuple[str, int, str | None]]:
    """Return at most four (name, number, colour), the main thing first, then by size."""
    main = truth.main_thing
    order = sorted(truth.things, key=lambda t: (t is not main, -t.area))
    found: dict[str, list[Thing]] = {}
    for thing in order:
        found.setdefault(thing.name, []).append(thing)
    groups = []
    for i, (name, things) in enumerate(list(found.items())[:4]):
        colour = things[0].colour if i == 0 and len(things) == 1 and not truth.monochrome else None
        groups.append((name, len(things), colour))
    return groups


def _caption(a: _Asker) -> Asked | None:
    groups = [phrases.group(name, number, colour, a.language) for name, number, colour in _groups(a.truth)]
    return a.ask("caption", phrases.caption(groups, a.truth.monochrome, a.language), {}) if groups else None


def _presence(a: _Asker) -> Asked | None:
    if a.rng.random() < 0.5:
        if not a.truth.things:
            return None
        words = mentions(a.rng.choice(a.truth.things).name)
        word = words[0] if a.rng.random() < 0.6 else a.rng.choice(words)
        return a.ask("presence", phrases.there_is(word, True, a.language), a.words(word, bare=True), yes=True)
    other = absent(a.truth, a.rng)
    if other is None:
        return None
    return a.ask("presence", phrases.there_is(other, False, a.language), a.words(other, bare=True), yes=False)


def _counted(a: _Asker) -> tuple[str, int] | None:
    """Return a name or kind and how many of it there are."""
    if not a.truth.things or a.rng.random() < 0.08:
        other = absent(a.truth, a.rng)
        return None if other is None else (other, 0)
    words = {w for t in a.truth.things for w in mentions(t.name) if a.truth.is_complete(w)}
    numbers = {w: sum(is_a(t.name, w) for t in a.truth.things) for w in sorted(words)}
    several = [w for w, n in numbers.items() if n > 1]
    if not numbers:
        return None
    word = a.rng.choice(several if several and a.rng.random() < 0.7 else list(numbers))
    # Something that may be called so, but need not be, leaves the number open.
    if any(may_be(t.name, word) and not is_a(t.name, word) for t in a.truth.things):
        return None
    return word, numbers[word]


def _count(a: _Asker) -> Asked | None:
    counted = _counted(a)
    if counted is None:
        return None
    return a.ask("count", phrases.many(*counted, a.language), a.words(counted[0]))


def _count_check(a: _Asker) -> Asked | None:
    counted = _counted(a)
    if counted is None or counted[1] > 9:
        return None
    word, number = counted
    yes = a.rng.random() < 0.5
    if yes and number < 2:
        return None
    said = number if yes else a.rng.choice([n for n in range(2, 7) if n != number and abs(n - number) < 4])
    slots = a.words(word) | {"n": phrases.count_word(said, a.language)}
    return a.ask("count_check", phrases.there_are(word, yes, number, a.language), slots, yes=yes)


def _coloured(a: _Asker) -> tuple[Thing, str] | None:
    return None if a.truth.monochrome else a.pick(lambda t: t.colour is not None)


def _colour(a: _Asker) -> Asked | None:
    found = _coloured(a)
    if found is None:
        return None
    thing, word = found
    return a.ask("colour", phrases.colour(thing.colour or "", a.language), a.words(word))


def _colour_main(a: _Asker) -> Asked | None:
    main = a.truth.main_thing
    if main is None or main.colour is None or a.truth.monochrome:
        return None
    return a.ask("colour_main", phrases.colour(main.colour, a.language), {})


def _other_colour(a: _Asker, colour: str) -> str:
    near = {c for group in _NEAR_COLOURS if colour in group for c in group} | {colour}
    return a.rng.choice([c for c in COLOURS if c not in near])


def _colour_check(a: _Asker) -> Asked | None:
    found = _coloured(a)
    if found is None or found[0].colour is None:
        return None
    colour, yes = found[0].colour, a.rng.random() < 0.5
    said = colour if yes else _other_colour(a, colour)
    slots = a.words(found[1]) | {"colour": said.replace("gray", "grey"), "zh_colour": COLOURS[said]}
    answer = phrases.it_is(phrases.colour(colour, a.language), yes, a.language)
    return a.ask("colour_check", answer, slots, yes=yes)


def _choice_colour(a: _Asker) -> Asked | None:
    found = _coloured(a)
    if found is None or found[0].colour is None:
        return None
    both = [found[0].colour, _other_colour(a, found[0].colour)]
    a.rng.shuffle(both)
    c, d = (word.replace("gray", "grey") for word in both)
    slots = a.words(found[1]) | {"c": c, "d": d, "zc": COLOURS[both[0]], "zd": COLOURS[both[1]]}
    return a.ask("choice_colour", phrases.colour(found[0].colour, a.language), slots)


def _place(a: _Asker) -> Asked | None:
    found = a.pick(lambda t: place_of(t) is not None)
    if found is None:
        return None
    return a.ask("place", phrases.place(place_of(found[0]) or "", a.language), a.words(found[1]))


def _place_check(a: _Asker) -> Asked | None:
    found = a.pick(lambda t: place_of(t) is not None)
    if found is None:
        return None
    where, yes = place_of(found[0]) or "", a.rng.random() < 0.5
    parts = where.split() or [""]
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    said = (
        a.rng.choice(parts)
        if yes
        else a.rng.choice([opposite[p] for p in parts if p] or ["left", "right", "top", "bottom"])
    )
    slots = a.words(found[1]) | {"place": phrases.place(said, "en"), "zh_place": phrases.place(said, "zh")}
    answer = phrases.place(where, a.language)
    return a.ask("place_check", phrases.it_is(("在" if a.chinese else "") + answer, yes, a.language), slots, yes=yes)


def _name_at(a: _Asker) -> Asked | None:
    places = [place_of(t) for t in a.truth.things]
    found = [(t, p) for t, p in zip(a.truth.things, places, strict=True) if p is not None and places.count(p) == 1]
    found = [(t, p) for t, p in found if not any(p in (q or "").split() for q in places if q != p)]
    if not found or None in places:
        return None
    thing, where = a.rng.choice(found)
    slots = {"place": phrases.place(where, "en"), "zh_place": phrases.place(where, "zh")}
    return a.ask("name_at", phrases.one(thing.name, a.language), slots)


def _choice(a: _Asker) -> Asked | None:
    main = a.truth.main_thing
    if main is None:
        return None
    words = mentions(main.name)
    word = words[0] if a.rng.random() < 0.7 else a.rng.choice(words)
    other = absent(a.truth, a.rng, sure=True)
    if other is None:
        return None
    both = [word, other]
    a.rng.shuffle(both)
    x, y = (a.words(w, any_word=False) for w in both)
    slots = {"x": x["a"], "y": y["a"], "zx": x["zh"], "zy": y["zh"]}
    return a.ask("choice", phrases.one(word, a.language), slots)


def _kind(a: _Asker) -> Asked | None:
    main = a.truth.main_thing
    kinds = [k for k in NAMES[main.name].kinds if k in KINDS] if main else []
    if not kinds:
        return None
    kind = next((k for k in kinds if k in ("fruit", "vegetable", "flower", "bird")), kinds[-1])
    return a.ask("kind", phrases.one(kind, a.language), {})


def _said_kind(a: _Asker) -> tuple[str, bool] | None:
    """Return something that the main thing may be said to be, and whether it is."""
    main = a.truth.main_thing
    if main is None:
        return None
    if a.rng.random() < 0.5:
        return a.rng.choice(mentions(main.name)), True
    other = absent(Truth((main,), 0), a.rng, sure=True)
    return None if other is None else (other, False)


def _kind_check(a: _Asker) -> Asked | None:
    said = _said_kind(a)
    if said is None or a.truth.main_thing is None:
        return None
    word, yes = said
    answer = phrases.it_is(phrases.one(word if yes else a.truth.main_thing.name, a.language), yes, a.language)
    return a.ask("kind_check", answer, a.words(word), yes=yes)


def _sure(a: _Asker) -> Asked | None:
    said = _said_kind(a)
    if said is None or a.truth.main_thing is None:
        return None
    word, yes = said
    if yes:
        answer = "是，我确定。" if a.chinese else "Yes, I am sure."
    else:
        name = phrases.one(a.truth.main_thing.name, a.language)
        answer = f"不是，我认为是{name}。" if a.chinese else f"No, I think it is {name}."
    return a.ask("sure", answer, a.words(word), yes=yes)


def _scene(a: _Asker) -> Asked | None:
    if a.truth.indoors is None:
        return None
    return a.ask("scene", _SCENES[a.language][not a.truth.indoors], {})


_SCENES = {"en": ("indoors", "outdoors"), "zh": ("室内", "室外")}
_TIMES = {"en": ("day", "night"), "zh": ("白天", "晚上")}
_TINTS = {"en": ("black and white", "in color"), "zh": ("黑白", "彩色")}
_LIGHTS = {"en": ("dark", "bright"), "zh": ("暗", "亮")}


def _pair_check(a: _Asker, kind: str, words: dict[str, tuple[str, str]], first: bool) -> Asked:
    """Ask whether one of two opposite words holds; `first` says that the first is right."""
    yes = a.rng.random() < 0.5
    right = words[a.language][0 if first else 1]
    if a.chinese and kind == "scene_check":
        right = "在" + right
    elif a.chinese and kind == "brightness_check":
        return a.claim(kind, first == yes, f"{'是' if yes else '不是'}，很{right}。", yes)
    return a.claim(kind, first == yes, phrases.it_is(right, yes, a.language), yes)


def _scene_check(a: _Asker) -> Asked | None:
    return None if a.truth.indoors is None else _pair_check(a, "scene_check", _SCENES, a.truth.indoors)


def _daytime(a: _Asker) -> Asked | None:
    return None if a.truth.night is None else a.ask("daytime", _TIMES[a.language][a.truth.night], {})


def _daytime_check(a: _Asker) -> Asked | None:
    return None if a.truth.night is None else _pair_check(a, "daytime_check", _TIMES, not a.truth.night)


def _mono(a: _Asker) -> Asked | None:
    return a.ask("mono", _TINTS[a.language][not a.truth.monochrome], {})


def _mono_check(a: _Asker) -> Asked | None:
    return _pair_check(a, "mono_check", _TINTS, a.truth.monochrome)


def _brightness_check(a: _Asker) -> Asked | None:
    if a.truth.brightness == "normal":
        return None
    return _pair_check(a, "brightness_check", _LIGHTS, a.truth.brightness == "dark")


def _doing(a: _Asker) -> Asked | None:
    found = a.pick(lambda t: t.doing in ACTIONS)
    if found is None:
        return None
    return a.ask("doing", phrases.doing(found[0].doing or "", a.language), a.words(found[1]))


def _doing_check(a: _Asker) -> Asked | None:
    found = a.pick(lambda t: t.doing in ACTIONS)
    if found is None or found[0].doing is None:
        return None
    right, yes = found[0].doing, a.rng.random() < 0.5
    said = right if yes else action_besides(right, a.rng)
    slots = a.words(found[1]) | {"doing": said, "zh_doing": ACTIONS[said]}
    answer = phrases.it_is(phrases.doing(right, a.language), yes, a.language)
    return a.ask("doing_check", answer, slots, yes=yes)


def _text(a: _Asker) -> Asked | None:
    texts = a.truth.texts
    if not texts:
        if not a.truth.is_complete("text"):
            return None
        return a.ask("text", "没有文字。" if a.chinese else "There is no text.", {})
    said = " ".join(text for text, _ in texts)
    if len(said) > 40:
        said = max(texts, key=lambda t: t[1][3] - t[1][1])[0]
    return a.ask("text", phrases.it_says(said, a.language), {})


def _text_check(a: _Asker) -> Asked | None:
    yes = bool(a.truth.texts)
    if not yes and not a.truth.is_complete("text"):
        return None
    if a.chinese:
        answer = "有，图里有文字。" if yes else "没有，图里没有文字。"
    else:
        answer = "Yes, there is text." if yes else "No, there is no text."
    return a.ask("text_check", answer, {}, yes=yes)


def _unanswerable(a: _Asker) -> Asked | None:
    if a.rng.random() < 0.35:
        asked = _about_absent(a)
        if asked is not None:
            return asked
    lines = (wordings_unanswerable.HELD_OUT if a.held_out else wordings_unanswerable.TRAIN)[a.language]
    text = fill(a.rng.choice(lines), a.language, a.rng, wordings_unanswerable.FILLERS[a.language])
    return Asked(
        kind="unanswerable",
        language=a.language,
        question=disturb(text, a.language, a.rng),
        answer=CANNOT_TELL[a.language],
    )


def _about_absent(a: _Asker) -> Asked | None:
    """Ask for the colour, place or activity of something that is not there, or for a colour without colours."""
    if a.truth.monochrome and a.rng.random() < 0.5:
        found = a.pick(lambda t: t.colour not in _COLOURLESS)
        if found is not None:
            return a.ask("unanswerable", CANNOT_TELL[a.language], a.words(found[1]), wording="colour")
    other = absent(a.truth, a.rng)
    if other is None:
        return None
    wording = a.rng.choice(("colour", "colour", "place", "doing") if is_a(other, "animal") else ("colour", "place"))
    return a.ask("unanswerable", CANNOT_TELL[a.language], a.words(other), wording=wording)


_WRITERS: dict[str, Callable[[_Asker], Asked | None]] = {
    "name": _name, "which": _which, "caption": _caption, "presence": _presence, "count": _count,
    "count_check": _count_check, "colour": _colour, "colour_main": _colour_main, "colour_check": _colour_check,
    "place": _place, "place_check": _place_check, "name_at": _name_at, "choice": _choice,
    "choice_colour": _choice_colour, "kind": _kind, "kind_check": _kind_check, "scene": _scene,
    "scene_check": _scene_check, "daytime": _daytime, "daytime_check": _daytime_check, "mono": _mono,
    "mono_check": _mono_check, "brightness_check": _brightness_check, "doing": _doing, "doing_check": _doing_check,
    "text": _text, "text_check": _text_check, "sure": _sure, "unanswerable": _unanswerable,
}  # fmt: skip


def question(truth: Truth, kind: str, rng: random.Random, *, language: str, held_out: bool = False) -> Asked | None:
    """Return a question of one kind, or None where the truth (or the draw) allows none."""
    return _WRITERS[kind](_Asker(truth, rng, language, held_out))


def questions(truth: Truth, rng: random.Random, *, count: int, language: str, held_out: bool = False) -> list[Asked]:
    """Return different questions about a picture, kinds drawn by `WEIGHTS`.

    Args:
        truth: What is known about the picture.
        rng: Source of every choice.
        count: Number of questions; fewer come back if the truth allows no more.
        language: "en" or "zh".
        held_out: Draw from the wordings that training never sees.
    """
    found: dict[str, Asked] = {}
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    for _ in range(20 * count):
        if len(found) == count:
            break
        asked = question(truth, rng.choices(kinds, weights)[0], rng, language=language, held_out=held_out)
        if asked is not None:
            found.setdefault(asked.question.lower(), asked)
    return list(found.values())
