"""Questions about a scene and their only right answers, in the words that `lavida-mini` is taught.

One prompt always has one form of answer: a diffusion model that learns several forms for one prompt mixes them when
it writes many words at once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from lavida.data.concepts import CONCEPTS, KINDS
from lavida.data.scenes import Placed, Scene
from lavida.text.labels import Label
from lavida.text.prompt import with_article

NUMBERS = ("zero", "one", "two", "three", "four", "five")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, its answer and its kind (for the tables of figures)."""

    kind: str
    prompt: str
    answer: str
    asked: tuple[str, ...] = ()  # the names that the prompt speaks of, whether they are there or not


def a(name: str) -> str:
    """The name with its article; names that are plural already have none."""
    concept = CONCEPTS[name]
    return name if concept.plural == name and name.endswith("s") else f"{concept.article} {name}"


def group(name: str, count: int) -> str:
    """'a cat', 'two cats'."""
    return a(name) if count == 1 else f"{NUMBERS[count]} {CONCEPTS[name].plural}"


def join(parts: list[str]) -> str:
    """'a, b and c'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def place(o: Placed) -> str:
    """Where an object stands, in words: the picture cut three by three."""
    column = ("left", "", "right")[min(2, int(o.x * 3))]
    row = ("top", "", "bottom")[min(2, int(o.y * 3))]
    if not row and not column:
        return "in the middle"
    return f"at the {row} {column}" if row and column else f"on the {column}" if column else f"at the {row}"


def caption(scene: Scene) -> str:
    return join([group(n, c) for n, c in scene.counts.items()]) + "."


def detailed(scene: Scene) -> str:
    """One phrase an object, left to right, with its colour where it has one and its place."""
    phrases = []
    for o in sorted(scene.objects, key=lambda o: o.x):
        bare = o.colour is None or (CONCEPTS[o.name].plural == o.name and o.name.endswith("s"))
        phrases.append(f"{a(o.name) if bare else with_article(f'{o.colour} {o.name}')} {place(o)}")
    return join(phrases) + "."


def references(scene: Scene) -> list[str]:
    """At least five right captions in other words, for CIDEr."""
    what = caption(scene).rstrip(".")
    back = join([group(n, c) for n, c in reversed(scene.counts.items())])
    verb = "is" if len(scene.objects) == 1 else "are"
    return [
        what,
        back,
        f"there {verb} {what}",
        f"a picture of {what}",
        f"the picture shows {back}",
        f"{what} in a picture",
    ]


def _pair(scene: Scene, rng: random.Random) -> tuple[Placed, Placed] | None:
    """Two objects whose names occur once each."""
    single = [o for o in scene.objects if scene.counts[o.name] == 1]
    return tuple(rng.sample(single, 2)) if len(single) >= 2 else None


def _caption(scene: Scene, rng: random.Random) -> tuple[str, str]:
    return rng.choice(("Describe the image.", "What is in the picture?", "Caption the image.")), caption(scene)


def _detailed(scene: Scene, rng: random.Random) -> tuple[str, str]:
    return "Describe the image in detail.", detailed(scene)


def _list(scene: Scene, rng: random.Random) -> tuple[str, str]:
    return "List the objects.", ", ".join(scene.counts)


def _json(scene: Scene, rng: random.Random) -> tuple[str, str]:
    return "Describe the image as JSON.", json.dumps(scene.counts)


def _name(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    if len(scene.objects) != 1:
        return None
    return rng.choice(("What is this?", "What is it?", "Name the object.")), a(scene.objects[0].name)


def _kind(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    if len(scene.objects) != 1:
        return None
    return "What kind of thing is this?", with_article(CONCEPTS[scene.objects[0].name].kind)


def _name_at(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    by_place: dict[str, list[Placed]] = {}
    for o in scene.objects:
        by_place.setdefault(place(o), []).append(o)
    unique = [(p, os[0]) for p, os in by_place.items() if len(os) == 1]
    if not unique or len(scene.objects) < 2:
        return None
    where, o = rng.choice(unique)
    return f"What is {where}?", a(o.name)


def _where(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    single = [o for o in scene.objects if scene.counts[o.name] == 1]
    if not single:
        return None
    o = rng.choice(single)
    return f"Where is the {o.name}?", place(o)


def _count(scene: Scene, rng: random.Random) -> tuple[str, str]:
    by_count: dict[int, list[str]] = {}
    for n, c in scene.counts.items():
        by_count.setdefault(c, []).append(n)
    count = rng.choice(sorted(by_count))
    name = rng.choice(by_count[count])
    return f"How many {CONCEPTS[name].plural} are there?", NUMBERS[count]


def _total(scene: Scene, rng: random.Random) -> tuple[str, str]:
    return "How many objects are there?", NUMBERS[len(scene.objects)]


def _colour(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    known = [o for o in scene.objects if o.colour and scene.counts[o.name] == 1]
    if not known:
        return None
    o = rng.choice(known)
    return f"What color is the {o.name}?", o.colour


_NAMES = sorted(CONCEPTS)
_BY_KIND = {k: [n for n in _NAMES if CONCEPTS[n].kind == k] for k in KINDS}


def _presence(scene: Scene, rng: random.Random) -> tuple[str, str]:
    there = scene.counts
    if rng.random() < 0.5:
        name = rng.choice(sorted(there))
    else:
        pool = _NAMES if rng.random() < 0.7 else _BY_KIND[CONCEPTS[rng.choice(sorted(there))].kind]
        name = rng.choice([n for n in pool if n not in there] or [n for n in _NAMES if n not in there])
    return f"Is there {a(name)}?", "yes" if name in there else "no"


def _side(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, other = pair
    dx, dy = one.x - other.x, one.y - other.y
    if abs(dx) >= abs(dy) and abs(dx) > 0.12:
        return f"Is the {one.name} left or right of the {other.name}?", "left" if dx < 0 else "right"
    if abs(dy) > 0.12:
        return f"Is the {one.name} above or below the {other.name}?", "above" if dy < 0 else "below"
    return None


def _side_yes_no(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, other = pair
    dx, dy = one.x - other.x, one.y - other.y
    if max(abs(dx), abs(dy)) < 0.12:
        return None
    words, true = ("to the left of", dx < 0) if abs(dx) >= abs(dy) else ("above", dy < 0)
    if rng.random() < 0.5:
        words, true = ("to the right of" if words.startswith("to") else "below"), not true
    return f"Is the {one.name} {words} the {other.name}?", "yes" if true else "no"


def _next_to(scene: Scene, rng: random.Random) -> tuple[str, str] | None:
    pair = _pair(scene, rng)
    if pair is None or len(scene.objects) != 2:
        return None
    one, other = pair
    return f"What is next to the {one.name}?", a(other.name)


KINDS_OF_QUESTION: dict[str, Callable[[Scene, random.Random], tuple[str, str] | None]] = {
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
ASKING = ("where", "count", "colour", "presence", "side", "side_yes_no", "next_to")
_WORDS = {w: c.name for c in CONCEPTS.values() for w in (c.plural, c.name)}
LONG = ("caption", "detailed", "list", "json")


def ask(scene: Scene, kind: str, rng: random.Random) -> Question | None:
    """A question of the given kind about the scene, or None where the scene allows none."""
    drawn = KINDS_OF_QUESTION[kind](scene, rng)
    if drawn is None:
        return None
    words = drawn[0].rstrip("?.").split()
    asked = tuple(_WORDS[w] for w in words if w in _WORDS) if kind in ASKING else ()
    return Question(kind=kind, prompt=drawn[0], answer=drawn[1], asked=asked)


def ask_photo(label: Label, kind: str, rng: random.Random) -> Question | None:
    """A question about a photograph of which only the classifier's name is known."""
    specific = [k for k in label.kinds if k != "thing"]
    if kind == "caption":
        rest = f", a kind of {specific[0]}" if specific else ""
        prompt = rng.choice(("Describe the image.", "What is in the picture?", "Caption the image."))
        return Question(kind=kind, prompt=prompt, answer=f"a photo of {with_article(label.name)}{rest}.")
    if kind == "name":
        prompt = rng.choice(("What is this?", "What is it?", "Name the object."))
        return Question(kind=kind, prompt=prompt, answer=with_article(label.name))
    if kind == "kind":
        return Question(
            kind=kind, prompt="What kind of thing is this?", answer=with_article((specific or ["thing"])[0])
        )
    if kind == "presence":
        true = {label.name, *label.kinds}
        yes = rng.random() < 0.5
        word = rng.choice(sorted({label.name, *specific}) if yes else [n for n in _NAMES if n not in true])
        return Question(kind=kind, prompt=f"Is there {with_article(word)}?", answer="yes" if yes else "no")
    return None
