"""The questions that a scene allows, with their true answers, before they are put into any language."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from mini.data.concepts import CONCEPTS, KINDS
from mini.data.scenes import Placed, Scene


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Hold a question of one kind about a scene and its true answer.

    Places are "", "top", "bottom", "left", "right" or a row and a column ("top left"); sides are "left", "right",
    "above" and "below". Names, kinds and colours are those of `concepts.py`.
    """

    kind: str
    scene: Scene | None = None  # None for a photograph
    names: tuple[str, ...] = ()  # the concepts that the question speaks of
    where: str = ""  # the place or side that it speaks of; of "side" the pair of them: "left right", "above below"
    true: str | int | bool = ""  # a name, kind, colour, place, side, number, or yes and no; "" for whole scenes
    variant: int = 0  # which of a language's wordings


def place(o: Placed) -> str:
    """Return where an object stands: the picture is cut three by three."""
    column = ("left", "", "right")[min(2, int(o.x * 3))]
    row = ("top", "", "bottom")[min(2, int(o.y * 3))]
    return f"{row} {column}".strip()


def _once(scene: Scene) -> list[Placed]:
    """Return the objects whose names occur once."""
    return [o for o in scene.objects if scene.counts[o.name] == 1]


def _pair(scene: Scene, rng: random.Random) -> tuple[Placed, Placed] | None:
    single = _once(scene)
    return tuple(rng.sample(single, 2)) if len(single) >= 2 else None


def _caption(scene: Scene, rng: random.Random) -> Fact:
    return Fact(kind="caption", scene=scene, variant=rng.randrange(WORDINGS["caption"]))


def _detailed(scene: Scene, rng: random.Random) -> Fact:
    return Fact(kind="detailed", scene=scene)


def _list(scene: Scene, rng: random.Random) -> Fact:
    return Fact(kind="list", scene=scene)


def _json(scene: Scene, rng: random.Random) -> Fact:
    return Fact(kind="json", scene=scene)


def _name(scene: Scene, rng: random.Random) -> Fact | None:
    if len(scene.objects) != 1:
        return None
    return Fact(kind="name", scene=scene, true=scene.objects[0].name, variant=rng.randrange(WORDINGS["name"]))


def _kind(scene: Scene, rng: random.Random) -> Fact | None:
    if len(scene.objects) != 1:
        return None
    return Fact(kind="kind", scene=scene, true=CONCEPTS[scene.objects[0].name].kind)


def _name_at(scene: Scene, rng: random.Random) -> Fact | None:
    by_place: dict[str, list[Placed]] = {}
    for o in scene.objects:
        by_place.setdefault(place(o), []).append(o)
    unique = [(p, os[0]) for p, os in by_place.items() if len(os) == 1]
    if not unique or len(scene.objects) < 2:
        return None
    where, o = rng.choice(unique)
    return Fact(kind="name_at", scene=scene, where=where, true=o.name)


def _where(scene: Scene, rng: random.Random) -> Fact | None:
    single = _once(scene)
    if not single:
        return None
    o = rng.choice(single)
    return Fact(kind="where", scene=scene, names=(o.name,), true=place(o))


def _count(scene: Scene, rng: random.Random) -> Fact:
    by_count: dict[int, list[str]] = {}
    for n, c in scene.counts.items():
        by_count.setdefault(c, []).append(n)
    count = rng.choice(sorted(by_count))
    return Fact(kind="count", scene=scene, names=(rng.choice(by_count[count]),), true=count)


def _total(scene: Scene, rng: random.Random) -> Fact:
    return Fact(kind="total", scene=scene, true=len(scene.objects))


def _colour(scene: Scene, rng: random.Random) -> Fact | None:
    known = [o for o in _once(scene) if o.colour]
    if not known:
        return None
    o = rng.choice(known)
    return Fact(kind="colour", scene=scene, names=(o.name,), true=o.colour)


NAMES = sorted(CONCEPTS)
_BY_KIND = {k: [n for n in NAMES if CONCEPTS[n].kind == k] for k in KINDS}


def _presence(scene: Scene, rng: random.Random) -> Fact:
    there = scene.counts
    if rng.random() < 0.5:
        name = rng.choice(sorted(there))
    else:
        pool = NAMES if rng.random() < 0.7 else _BY_KIND[CONCEPTS[rng.choice(sorted(there))].kind]
        name = rng.choice([n for n in pool if n not in there] or [n for n in NAMES if n not in there])
    return Fact(kind="presence", scene=scene, names=(name,), true=name in there)


def _side(scene: Scene, rng: random.Random) -> Fact | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, other = pair
    dx, dy = one.x - other.x, one.y - other.y
    if abs(dx) >= abs(dy) and abs(dx) > 0.12:
        where, true = "left right", "left" if dx < 0 else "right"
    elif abs(dy) > 0.12:
        where, true = "above below", "above" if dy < 0 else "below"
    else:
        return None
    return Fact(kind="side", scene=scene, names=(one.name, other.name), where=where, true=true)


def _side_yes_no(scene: Scene, rng: random.Random) -> Fact | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, other = pair
    dx, dy = one.x - other.x, one.y - other.y
    if max(abs(dx), abs(dy)) < 0.12:
        return None
    where, true = ("left", dx < 0) if abs(dx) >= abs(dy) else ("above", dy < 0)
    if rng.random() < 0.5:
        where, true = ("right" if where == "left" else "below"), not true
    return Fact(kind="side_yes_no", scene=scene, names=(one.name, other.name), where=where, true=true)


def _next_to(scene: Scene, rng: random.Random) -> Fact | None:
    pair = _pair(scene, rng)
    if pair is None or len(scene.objects) != 2:
        return None
    one, other = pair
    return Fact(kind="next_to", scene=scene, names=(one.name,), true=other.name)


DRAW: dict[str, Callable[[Scene, random.Random], Fact | None]] = {
    "caption": _caption,
    "detailed": _detailed,
    "list": _list,
    "json": _json,
    "name": _name,
    "kind": _kind,
    "name_at": _name_at,
    "where": _where,
    "count": _count,
    "total": _total,
    "colour": _colour,
    "presence": _presence,
    "side": _side,
    "side_yes_no": _side_yes_no,
    "next_to": _next_to,
}
WORDINGS = {kind: 3 if kind in ("caption", "name") else 1 for kind in DRAW}  # in every language
