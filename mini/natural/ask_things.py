"""Write questions about the things in a picture: names, numbers, colours, places, kinds."""

from __future__ import annotations

from mini.natural import phrases
from mini.natural.asker import Asked, Asker
from mini.natural.choose import IMPLIED, absent, implied, mentions, once, other_colour, place_of
from mini.natural.modifiers import sort_of
from mini.natural.names import COLOURS, KINDS, NAMES, is_a, may_be
from mini.natural.truth import Thing, Truth

DESCRIBED = 0.3  # of the questions for a name speak of "this creature" or the like


def name(a: Asker) -> Asked | None:
    """Ask what the main thing is."""
    main = a.truth.main_thing
    if main is None:
        return None
    slots = a.flags(main.name, main)
    wording = "described" if "vague" in slots and a.rng.random() < DESCRIBED else "name"
    return a.ask("name", phrases.one(main.name, a.language), slots, about=main.name, thing=main, wording=wording)


def which(a: Asker) -> Asked | None:
    """Ask which thing of a kind it is."""
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
    return a.ask("which", phrases.one(thing.name, a.language), slots, about=thing.name, thing=thing)


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


def caption(a: Asker) -> Asked | None:
    """Ask for a caption."""
    groups = [phrases.group(name, number, colour, a.language) for name, number, colour in _groups(a.truth)]
    return a.ask("caption", phrases.caption(groups, a.truth.monochrome, a.language), {}) if groups else None


def presence(a: Asker) -> Asked | None:
    """Ask whether something is there."""
    if a.truth.complete is True and a.rng.random() < 0.2:
        there = a.rng.random() < 0.6
        known = [word for word in IMPLIED if implied(a.truth, word) is there]
        if known:
            return _presence(a, a.rng.choice(known), there)
    if a.rng.random() < 0.55:
        if not a.truth.things:
            return None
        words = mentions(a.rng.choice(a.truth.things).name)
        word = words[0] if a.rng.random() < 0.6 else a.rng.choice(words)
        return _presence(a, word, True)
    other = absent(a.truth, a.rng)
    if other is None:
        return None
    return _presence(a, other, False)


def _presence(a: Asker, word: str, yes: bool) -> Asked:
    slots = a.words(word, bare=True) | ({"is_person": ""} if word == "person" else {})
    return a.ask("presence", phrases.there_is(word, yes, a.language), slots, about=word, yes=yes)


def _counted(a: Asker) -> tuple[str, int] | None:
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


def count(a: Asker) -> Asked | None:
    """Ask how many there are."""
    counted = _counted(a)
    if counted is None:
        return None
    return a.ask("count", phrases.many(*counted, a.language), a.words(counted[0]), about=counted[0])


def count_check(a: Asker) -> Asked | None:
    """Ask whether there are so many."""
    counted = _counted(a)
    if counted is None or counted[1] > 9:
        return None
    word, number = counted
    yes = a.rng.random() < 0.5
    if yes and number < 2:
        return None
    said = number if yes else a.rng.choice([n for n in range(2, 7) if n != number and abs(n - number) < 4])
    slots = a.words(word) | {"n": phrases.count_word(said, a.language)}
    return a.ask("count_check", phrases.there_are(word, yes, number, a.language), slots, about=word, yes=yes)


_WORN = ("shirt", "sweater", "coat", "dress", "jacket", "suit", "jersey", "sweatshirt", "skirt", "uniform")
_WEARING = {  # by whom, behind an English word and before a Chinese one
    "en": (
        "of the man", "of the woman", "of the boy", "of the girl", "of this person", "she has on", "he has on",
        "that he is dressed in", "that she is dressed in", "which the man wears", "which the woman wears", "on the man",
    ),
    "zh": ("他穿的", "她穿的", "那个人的", "男人的", "女人的", "孩子穿的", "身上的"),
}  # fmt: skip


def _coloured(a: Asker) -> tuple[Thing, str] | None:
    return None if a.truth.monochrome else a.pick(lambda t: t.colour is not None)


def colour(a: Asker) -> Asked | None:
    """Ask for the colour of a thing."""
    found = _coloured(a)
    if found is None:
        return None
    thing, word = found
    answer = phrases.colour(thing.colour or "", a.language)
    if thing.name == "person" and a.rng.random() < 0.65:  # a person has the colour of what he wears
        worn = a.rng.choice(_WORN)
        slots = a.words(worn)
        if a.rng.random() < 0.5:
            by = a.rng.choice(_WEARING[a.language])
            return a.ask("colour", answer, slots | {"the": f"{slots['the']} {by}", "zh": by + slots["zh"]})
        return a.ask("colour", answer, slots | a.flags(worn), about=worn)
    return a.ask("colour", answer, a.words(word) | a.flags(thing.name, thing), about=word, thing=thing)


def colour_main(a: Asker) -> Asked | None:
    """Ask for the colour of the main thing, without naming it."""
    main = a.truth.main_thing
    if main is None or main.colour is None or a.truth.monochrome:
        return None
    slots = a.flags(main.name, main)
    return a.ask("colour_main", phrases.colour(main.colour, a.language), slots, about=main.name, thing=main)


def colour_check(a: Asker) -> Asked | None:
    """Ask whether a thing has a colour."""
    found = _coloured(a)
    if found is None or found[0].colour is None:
        return None
    colour, yes = found[0].colour, a.rng.random() < 0.5
    said = colour if yes else other_colour(colour, a.rng)
    slots = a.words(found[1]) | {"colour": said.replace("gray", "grey"), "zh_colour": COLOURS[said]}
    answer = phrases.it_is(phrases.colour(colour, a.language), yes, a.language)
    slots |= a.flags(found[0].name, found[0])
    return a.ask("colour_check", answer, slots, about=found[1], thing=found[0], yes=yes)


def choice_colour(a: Asker) -> Asked | None:
    """Ask which of two colours a thing has."""
    found = _coloured(a)
    if found is None or found[0].colour is None:
        return None
    both = [found[0].colour, other_colour(found[0].colour, a.rng)]
    a.rng.shuffle(both)
    c, d = (word.replace("gray", "grey") for word in both)
    slots = a.words(found[1]) | {"c": c, "d": d, "zc": COLOURS[both[0]], "zd": COLOURS[both[1]]}
    slots |= a.flags(found[0].name, found[0])
    answer = phrases.colour(found[0].colour, a.language)
    return a.ask("choice_colour", answer, slots, about=found[1], thing=found[0])


SIDES = 0.35  # of the questions about a place ask for one of two halves
_HALF = 0.06  # a centre so near the middle is on neither side


def place(a: Asker) -> Asked | None:
    """Ask where a thing is."""
    if a.rng.random() < SIDES:
        return _side(a)
    found = a.pick(lambda t: place_of(t) is not None)
    if found is None:
        return None
    thing, where = found[0], place_of(found[0]) or ""
    slots = a.words(found[1]) | a.flags(thing.name, thing) | _place_flags(where)
    return a.ask("place", phrases.place(where, a.language), slots, about=found[1], thing=thing)


def _side(a: Asker) -> Asked | None:
    """Ask whether a thing is in the left or in the right half, which even one near the middle may be."""
    found = a.pick(lambda t: abs(t.centre[0] - 0.5) > _HALF)
    if found is None:
        return None
    thing, word = found
    answer = phrases.place("left" if thing.centre[0] < 0.5 else "right", a.language)
    slots = a.words(word) | a.flags(thing.name, thing)
    return a.ask("place", answer, slots, about=word, thing=thing, wording="side")


def held(a: Asker) -> Asked | None:
    """Ask what a person holds, wears, rides or sits on: the one other thing in the picture."""
    people = [t for t in a.truth.things if t.name == "person"]
    others = {t.name for t in a.truth.things if t.name != "person"}
    if len(people) != 1 or len(others) != 1:
        return None
    other = others.pop()
    flag = f"is_{_HELD.get(sort_of(other), sort_of(other))}"
    slots = a.words("person") | {flag: ""}
    try:
        return a.ask("name", phrases.one(other, a.language), slots, about="person", thing=people[0], wording="held")
    except KeyError:  # nothing that people hold, wear or use
        return None


_HELD = {"vegetable": "food", "insect": "animal", "fish": "animal", "reptile": "animal"}


def _place_flags(where: str) -> dict[str, str]:
    """Return empty slots for the choices ("on the left or on the right") that a place can answer."""
    parts = set(where.split())
    across, along = bool(parts & {"left", "right"}), bool(parts & {"top", "bottom"})
    found = {"tb": along, "corner": across and along, "lmr": not along, "tmb": not across}
    return {slot: "" for slot, holds in found.items() if holds}


def place_check(a: Asker) -> Asked | None:
    """Ask whether a thing is somewhere."""
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
    answer = phrases.it_is(("在" if a.chinese else "") + answer, yes, a.language)
    slots |= a.flags(found[0].name, found[0])
    return a.ask("place_check", answer, slots, about=found[1], thing=found[0], yes=yes)


def name_at(a: Asker) -> Asked | None:
    """Ask what is at a place."""
    places = [place_of(t) for t in a.truth.things]
    found = [(t, p) for t, p in zip(a.truth.things, places, strict=True) if p is not None and places.count(p) == 1]
    found = [(t, p) for t, p in found if not any(p in (q or "").split() for q in places if q != p)]
    if not found or None in places:
        return None
    thing, where = a.rng.choice(found)
    slots = {"place": phrases.place(where, "en"), "zh_place": phrases.place(where, "zh")}
    return a.ask("name_at", phrases.one(thing.name, a.language), slots, about=thing.name, thing=thing)


def choice(a: Asker) -> Asked | None:
    """Ask which of two things it is."""
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
    slots = {"x": x["a"], "y": y["a"], "zx": x["zh"], "zy": y["zh"]} | a.main_kind(main)
    slots |= a.flags(main.name, main)
    return a.ask("choice", phrases.one(word, a.language), slots, thing=main)


def kind(a: Asker) -> Asked | None:
    """Ask what kind of thing it is."""
    main = a.truth.main_thing
    kinds = [k for k in NAMES[main.name].kinds if k in KINDS] if main else []
    if not kinds:
        return None
    kind = next((k for k in kinds if k in ("fruit", "vegetable", "flower", "bird")), kinds[-1])
    slots = a.flags(main.name, main)
    return a.ask("kind", phrases.one(kind, a.language), slots, about=main.name, thing=main)


def _said_kind(a: Asker) -> tuple[str, bool] | None:
    """Return something that the main thing may be said to be, and whether it is."""
    main = a.truth.main_thing
    if main is None:
        return None
    if a.rng.random() < 0.5:
        return a.rng.choice(mentions(main.name)), True
    other = absent(Truth((main,), 0), a.rng, sure=True)
    return None if other is None else (other, False)


def kind_check(a: Asker) -> Asked | None:
    """Ask whether it is something."""
    said = _said_kind(a)
    if said is None or a.truth.main_thing is None:
        return None
    word, yes = said
    answer = phrases.it_is(phrases.one(word if yes else a.truth.main_thing.name, a.language), yes, a.language)
    main = a.truth.main_thing
    slots = a.words(word) | a.main_kind(main) | a.flags(main.name, main)
    return a.ask("kind_check", answer, slots, about=word, thing=main, yes=yes)


def sure(a: Asker) -> Asked | None:
    """Ask how sure it is that it is something."""
    said = _said_kind(a)
    if said is None or a.truth.main_thing is None:
        return None
    word, yes = said
    if yes:
        answer = "是，我确定。" if a.chinese else "Yes, I am sure."
    else:
        name = phrases.one(a.truth.main_thing.name, a.language)
        answer = f"不是，我认为是{name}。" if a.chinese else f"No, I think it is {name}."
    return a.ask("sure", answer, a.words(word), about=word, thing=a.truth.main_thing, yes=yes)
