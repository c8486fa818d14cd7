"""Questions and answers in English, in the words that `lavida-mini` is taught."""

from __future__ import annotations

import json

from lavida.text.prompt import with_article
from mini.data.concepts import CONCEPTS
from mini.data.facts import Fact, place
from mini.data.scenes import Placed, Scene

CODE, TITLE = "en", "English"
NUMBERS = ("zero", "one", "two", "three", "four", "five")
COMMA, AND, STOP = ", ", " and ", "."  # of a caption

_PROMPTS = {
    "caption": ("Describe the image.", "What is in the picture?", "Caption the image."),
    "detailed": ("Describe the image in detail.",),
    "list": ("List the objects.",),
    "json": ("Describe the image as JSON.",),
    "name": ("What is this?", "What is it?", "Name the object."),
    "kind": ("What kind of thing is this?",),
    "name_at": ("What is {where}?",),
    "where": ("Where is the {0}?",),
    "count": ("How many {several} are there?",),
    "total": ("How many objects are there?",),
    "colour": ("What color is the {0}?",),
    "presence": ("Is there {one}?",),
    "side": ("Is the {0} {where} the {1}?",),
    "side_yes_no": ("Is the {0} {where} the {1}?",),
    "next_to": ("What is next to the {0}?",),
}
_SIDES = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
    "left right": "left or right of",
    "above below": "above or below",
}


def one(name: str) -> str:
    """Return the name with its article; names that are plural already have none."""
    concept = CONCEPTS[name]
    return name if concept.plural == name and name.endswith("s") else f"{concept.article} {name}"


def group(name: str, count: int) -> str:
    """Return 'a cat' or 'two cats'."""
    return one(name) if count == 1 else f"{NUMBERS[count]} {CONCEPTS[name].plural}"


def join(parts: list[str]) -> str:
    """Join parts as 'a, b and c'."""
    return parts[0] if len(parts) == 1 else f"{COMMA.join(parts[:-1])}{AND}{parts[-1]}"


def at(where: str) -> str:
    """Return a place in words."""
    if not where:
        return "in the middle"
    return f"on the {where}" if where in ("left", "right") else f"at the {where}"


def forms(name: str) -> tuple[str, ...]:
    """Return the words by which a prompt may name a concept."""
    return name, CONCEPTS[name].plural


def caption(scene: Scene) -> str:
    """Return 'two cats and an owl.'."""
    return join([group(n, c) for n, c in scene.counts.items()]) + STOP


def detailed(scene: Scene) -> str:
    """Return one phrase for each object, left to right, with its place and, if known, its colour."""
    return join([f"{_coloured(o)} {at(place(o))}" for o in sorted(scene.objects, key=lambda o: o.x)]) + STOP


def _coloured(o: Placed) -> str:
    bare = o.colour is None or one(o.name) == o.name
    return one(o.name) if bare else with_article(f"{o.colour} {o.name}")


def references(scene: Scene) -> list[str]:
    """Return at least five right captions in other words, for CIDEr."""
    groups = caption(scene).rstrip(STOP)
    back = join([group(n, c) for n, c in reversed(scene.counts.items())])
    verb = "is" if len(scene.objects) == 1 else "are"
    return [
        groups,
        back,
        f"there {verb} {groups}",
        f"a picture of {groups}",
        f"the picture shows {back}",
        f"{groups} in a picture",
    ]


def prompt(fact: Fact) -> str:
    """Return the question about a fact."""
    return _PROMPTS[fact.kind][fact.variant].format(
        *fact.names,
        where=at(fact.where) if fact.kind == "name_at" else _SIDES.get(fact.where),
        one=one(fact.names[0]) if fact.names else "",
        several=CONCEPTS[fact.names[0]].plural if fact.names else "",
    )


def answer(fact: Fact) -> str:
    """Return the only right answer to the question about a fact."""
    match fact.kind:
        case "caption":
            return caption(fact.scene)
        case "detailed":
            return detailed(fact.scene)
        case "list":
            return COMMA.join(fact.scene.counts)
        case "json":
            return json.dumps(fact.scene.counts)
        case "name" | "name_at" | "next_to":
            return one(fact.true)
        case "kind":
            return with_article(fact.true)
        case "where":
            return at(fact.true)
        case "count" | "total":
            return NUMBERS[fact.true]
        case "presence" | "side_yes_no":
            return yes_no(fact.true)
        case _:
            return fact.true


def is_there(word: str) -> str:
    """Return the question whether something is there that need not be a concept."""
    return f"Is there {with_article(word)}?"


def yes_no(true: bool) -> str:
    """Return the answer to such a question."""
    return "yes" if true else "no"


def one_of(word: str) -> str:
    """Return the answer that names something that need not be a concept, with its article."""
    return with_article(word)


def photo_caption(name: str, kind: str) -> str:
    """Return the caption of a photograph, with its kind if there is one."""
    rest = f", a kind of {kind}" if kind else ""
    return f"a photo of {with_article(name)}{rest}."
