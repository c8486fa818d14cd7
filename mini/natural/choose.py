"""Choose what a question is about: names and kinds of a thing, things that are surely absent, places."""

from __future__ import annotations

import random
from functools import cache

from mini.natural.names import ACTIONS, COCO, COLOURS, KINDS, NAMES, is_a, may_be
from mini.natural.truth import Thing, Truth

_NEAR_COLOURS = (
    {"red", "orange", "pink", "brown"}, {"orange", "yellow", "brown"}, {"yellow", "white"}, {"green", "blue"},
    {"blue", "purple"},
    {"purple", "pink"}, {"gray", "white"}, {"gray", "black"}, {"gray", "blue"}, {"gray", "brown"}, {"brown", "black"},
)  # fmt: skip
_EDGE = 0.035  # a centre so near a border between two places has no certain place
_POSTURES = frozenset({"sitting", "standing", "lying down", "smiling", "looking at the camera", "working", "playing"})


@cache
def mentions(key: str) -> tuple[str, ...]:
    """Return the name and the kinds by which a question may speak of a thing."""
    return (key, *(k for k in NAMES[key].kinds if k in KINDS))


def once(truth: Truth, word: str) -> bool:
    """Return True if exactly one thing is, or might be, called so."""
    return sum(may_be(t.name, word) for t in truth.things) == 1


# Common in photographs, and nothing that the parts find: their absence is not told without a reason.
UNSEEN = frozenset(
    "tree,leaf,pine,palm,plant,flower,wheel,window,door,flag,fence,sign,cloud,sun,bag,box,shirt,glasses,watch,curtain,"
    "carpet,painting,mirror,key,lock,plug,star,towel,blanket,rope,water,bridge,tower,ring,coin,glass,jar,basket,bulb,"
    "cap,belt,boot,coat,jacket,sweater,trousers,skirt,dress,scarf,glove,newspaper,folder,clothes".split(",")
)
_WHEELED = frozenset({"car", "bus", "truck", "bicycle", "motorcycle", "van", "train"})


def implied(truth: Truth, word: str) -> bool | None:
    """Tell whether a picture holds something that no part finds, as far as what it does hold implies it."""
    names, green = {t.name for t in truth.things}, truth.ground == "green"
    if word in ("tree", "leaf", "plant"):
        if any(is_a(name, "plant") for name in names):
            return None
        return True if green and truth.indoors is False else False if truth.indoors and not green else None
    if word == "wheel":
        wheeled = any(is_a(name, kind) for name in names for kind in _WHEELED)
        return True if wheeled else None if any(is_a(name, "vehicle") for name in names) else False
    if word == "window":
        return True if names & {"bus", "car", "train"} or any(is_a(n, "building") for n in names) else None
    if word == "water":
        return True if any(is_a(n, "boat") for n in names) and truth.indoors is False else None
    if word == "clothes":
        return True if "person" in names else None
    return None


IMPLIED = ("tree", "tree", "leaf", "plant", "wheel", "wheel", "window", "water", "clothes")


@cache
def _pool() -> tuple[str, ...]:
    return tuple(key for key, name in NAMES.items() if name.everyday)


@cache
def _siblings(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Return the everyday names that share the most special kind."""
    return tuple(k for k in _pool() if k not in KINDS and set(NAMES[k].kinds[:1]) & set(kinds))


def absent(truth: Truth, rng: random.Random, *, sure: bool = False) -> str | None:
    """Choose a name or kind of which the picture surely holds nothing, often one akin to what is there.

    Args:
        truth: The picture.
        rng: Source of the choice.
        sure: The name need only differ from everything listed (for a choice between two names), so names whose
            absence is not certain will do.
    """
    for _ in range(12):
        word = _candidate(truth, rng, sure)
        if word is None:
            return None
        if not sure and (word in UNSEEN or not truth.is_complete(word)):
            continue
        if any(may_be(t.name, word) for t in truth.things):
            continue
        # Clothes and whatever people carry can hardly be ruled out on a person.
        if is_a(word, "clothes") and any(is_a(t.name, "person") for t in truth.things):
            continue
        return word
    return None


def _candidate(truth: Truth, rng: random.Random, sure: bool) -> str | None:
    if isinstance(truth.complete, frozenset) and not sure:
        known = [word for word in sorted(truth.complete) if word in NAMES]
        return rng.choice(known) if known else None
    draw = rng.random()
    if draw < 0.45 and truth.things:
        kinds = NAMES[rng.choice(truth.things).name].kinds
        akin = _siblings(kinds)
        if akin:
            return rng.choice(akin)
    if draw < 0.7:
        return rng.choice(COCO)
    return rng.choice(KINDS) if draw > 0.92 else rng.choice(_pool())


def place_of(thing: Thing) -> str | None:
    """Return where a thing is, as a key of `phrases.PLACES`; None near a border between two places.

    A thing that fills two fifths of the picture is in the middle unless its centre lies far off.
    """
    (x, y), big = thing.centre, thing.area > 0.4
    low, high = (0.2, 0.8) if big else (1 / 3, 2 / 3)
    words = []
    for at, names in ((y, ("top", "bottom")), (x, ("left", "right"))):
        if min(abs(at - low), abs(at - high)) < _EDGE:
            return None
        if at < low or at > high:
            words.append(names[at > high])
    return " ".join(words)


def other_colour(colour: str, rng: random.Random) -> str:
    """Choose a colour that nobody takes for this one."""
    near = {c for group in _NEAR_COLOURS if colour in group for c in group} | {colour}
    return rng.choice([c for c in COLOURS if c not in near])


def action_besides(right: str, rng: random.Random) -> str:
    """Choose an activity that excludes the right one."""
    near = {right, *_POSTURES}
    if right in ("running", "walking", "jumping"):
        near |= {"running", "walking", "jumping"}
    return rng.choice(
        [a for a in ACTIONS if a not in near and not (set(a.split()) & set(right.split()) - {"the", "a"})]
    )
