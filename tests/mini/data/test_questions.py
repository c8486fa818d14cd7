"""Questions have the only right answer; captions and references say the same thing."""

from __future__ import annotations

import hashlib
import json
import random

from lavida.text.labels import Label
from mini.data.concepts import CONCEPTS
from mini.data.english import NUMBERS, at, caption, detailed, references
from mini.data.facts import DRAW, place
from mini.data.questions import ask, ask_photo
from mini.data.scenes import Placed, Scene
from mini.data.worlds import SceneSampler


def thing(name, x, y, colour="red"):
    return Placed(cutout=0, name=name, colour=colour, x=x, y=y, w=0.2, h=0.2)


SCENE = Scene(objects=(thing("cat", 0.1, 0.5), thing("owl", 0.9, 0.5, None), thing("cat", 0.5, 0.1)), background=-1)


def test_caption_counts_and_goes_from_left_to_right():
    assert caption(SCENE) == "two cats and an owl."
    assert detailed(SCENE) == "a red cat on the left, a red cat at the top and an owl on the right."
    assert len(set(references(SCENE))) >= 5 and all("owl" in r and "two cats" in r for r in references(SCENE))


def test_every_answer_agrees_with_the_scene():
    world, rng = SceneSampler.symbolic(), random.Random(1)
    seen = set()
    for _ in range(150):
        scene = world.scene(rng)
        for kind in DRAW:
            q = ask(scene, kind, rng)
            if q is None:
                continue
            seen.add(kind)
            words = q.prompt.rstrip("?.").split()
            if kind == "presence":
                assert (q.answer == "yes") == (q.names[0] in scene.counts)
            elif kind == "count":
                (name,) = q.names
                assert q.answer == NUMBERS[scene.counts[name]]
            elif kind == "side":
                one, other = (next(o for o in scene.objects if o.name == n) for n in q.names)
                right = {"left": one.x < other.x, "right": one.x > other.x, "above": one.y < other.y}
                assert right.get(q.answer, one.y > other.y) and q.answer in words
            elif kind == "json":
                assert json.loads(q.answer) == scene.counts
            elif kind == "where":
                assert q.answer == at(place(next(o for o in scene.objects if o.name == q.names[0])))
    assert seen == set(DRAW)


def test_articles():
    assert CONCEPTS["unicorn"].article == "a" and CONCEPTS["owl"].article == "an"
    label = Label(name="Egyptian cat", kinds=("cat", "animal"))
    assert ask_photo(label, "caption", random.Random(0)).answer == "a photo of an Egyptian cat, a kind of cat."
    assert ask_photo(label, "kind", random.Random(0)).answer == "a cat"
    assert ask_photo(label, "count", random.Random(0)) is None


def test_english_is_what_the_shipped_weights_were_taught():
    """Prompts, answers and the order in which they are drawn: made by the code that trained lavida-mini."""
    world, rng, lines = SceneSampler.symbolic(), random.Random(11), []
    for _ in range(300):
        scene = world.scene(rng, (1, 1, 1, 1, 1))
        lines += [f"{k}|{q.prompt}|{q.answer}|{','.join(q.names)}" for k in DRAW if (q := ask(scene, k, rng))]
    labels = [
        Label(name="Egyptian cat", kinds=("cat", "animal")),
        Label(name="paper towel", kinds=("thing",)),
        Label(name="unicycle", kinds=("bicycle", "vehicle")),
    ]
    for _ in range(200):
        for label in labels:
            asked = [ask_photo(label, k, rng) for k in ("caption", "name", "kind", "presence")]
            lines += [f"{q.kind}|{q.prompt}|{q.answer}|" for q in asked]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert (len(lines), digest) == (5642, "32d331a1cf6ec26698a73d5f10e04b977447b566d759bd79a9e304590207ef18")
