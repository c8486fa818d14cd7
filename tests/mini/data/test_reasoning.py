"""Chains are true of their scene, trained and held-out questions stay apart, and answers are judged by their words."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from mini.data.concepts import CONCEPTS
from mini.data.english import NUMBERS
from mini.data.reasoning import CASES, KINDS, WEIGHTS, WORDINGS, Reasoned, allowed, balanced, held_out, reason, right
from mini.data.scenes import Placed, Scene
from mini.data.worlds import SceneSampler


def scenes(n: int, seed: int = 0) -> list[Scene]:
    world, rng = SceneSampler.symbolic(), random.Random(seed)
    return [world.scene(rng, WEIGHTS) for _ in range(n)]


def thing(name: str, x: float = 0.5, y: float = 0.5, side: float = 0.3, colour: str | None = None) -> Placed:
    return Placed(cutout=-1, name=name, colour=colour, x=x, y=y, w=side, h=side)


def pair(apart: bool = False) -> tuple[str, str]:
    """Two names that are, or are not, held out as a pair."""
    return next(("cat", name) for name in CONCEPTS if name != "cat" and held_out(("cat", name)) == apart)


def questions(*things: Placed) -> dict[str, list[Reasoned]]:
    found = allowed(Scene(objects=things, background=-1), random.Random(0))
    return {kind: [one for own in cases.values() for one in own] for kind, cases in found.items()}


def test_a_chain_names_both_numbers_before_it_compares_them() -> None:
    cat, other = pair()
    several = CONCEPTS[other].plural
    found = questions(thing(cat), thing(cat), thing(cat), thing(other))
    chains = {one.chain for own in found.values() for one in own}
    assert f"there are three cats and one {other}. three is more than one. answer: cats" in chains
    assert f"there is one {other} and three cats. one is not three. answer: no" in chains
    assert f"there are three cats and one {other}. three and one is four. answer: four" in chains
    assert set(found) == {"more", "total", "equal"}  # there is no such thing as the cat
    assert {one.rivals for one in found["more"]} == {("cats", several), (several, "cats")}


def test_single_things_are_compared_by_place_colour_and_size() -> None:
    cat, other = pair()
    found = questions(thing(cat, x=0.1, side=0.4, colour="red"), thing(other, x=0.9, side=0.2, colour="blue"))
    chains = {one.chain for kind in ("further", "colour", "larger") for one in found[kind]}
    assert f"the cat is on the left and the {other} is on the right. left comes before right. answer: the cat" in chains
    assert (
        f"the cat is on the left and the {other} is on the right. right comes after left. answer: the {other}" in chains
    )
    assert f"the cat is red and the {other} is blue. red is not blue. answer: no" in chains
    assert f"the {other} is small and the cat is large. large is more than small. answer: the cat" in chains
    near = questions(thing(cat, side=0.31), thing(other, side=0.33))  # of two sizes, but hardly
    assert "larger" not in near and "further" not in near and "colour" not in near


def test_chains_follow_from_every_scene() -> None:
    for scene in scenes(150):
        for one in reason(scene, 6, random.Random(1)):
            assert right(one.chain, one) and right(one.answer, one)
            first, second = (scene.counts[name] for name in one.names)
            if one.kind == "total":
                assert one.answer == NUMBERS[first + second]
            elif one.kind == "equal":
                assert (one.answer == "yes") == (first == second)
            elif one.kind == "more":
                assert one.answer == CONCEPTS[one.names[first < second]].plural and first != second
            else:
                assert first == second == 1


def test_what_is_held_out_is_never_trained() -> None:
    every = scenes(300)
    trained = [one for scene in every for one in reason(scene, 5, random.Random(2))]
    asked = [one for _, one in balanced(every, 20, random.Random(2))]
    assert not {frozenset(one.names) for one in trained} & {frozenset(one.names) for one in asked}
    assert all(held_out(one.names) and held_out(one.names[::-1]) for one in asked)
    last = {kind: own[-1].split("{")[0] for kind, own in WORDINGS.items()}
    assert all(one.prompt.startswith(last[one.kind]) for one in asked)
    assert not any(one.prompt.startswith(last[one.kind]) for one in trained)
    assert {one.kind for one in trained} == set(KINDS)


def test_questions_are_balanced_and_no_more_scenes_are_taken_than_they_need() -> None:
    taken = []
    asked = balanced((taken.append(scene) or scene for scene in scenes(4000, 5)), 8, random.Random(3))
    counted = Counter((one.kind, one.case) for _, one in asked)
    assert counted == {(kind, case): 8 // len(cases) for kind, cases in CASES.items() for case in cases}
    assert max(number for number, _ in asked) == len(taken) - 1 < 3999
    assert max(Counter((number, one.kind) for number, one in asked).values()) == 1


def test_an_answer_is_right_if_it_names_the_true_one_alone() -> None:
    cat, other = pair()
    found = questions(thing(cat), thing(cat), thing(other))
    more, total, equal = (next(one for one in found[kind]) for kind in ("more", "total", "equal"))
    assert right("There are more cats.", more) and right("a cat", more)
    assert not right(f"cats and {CONCEPTS[other].plural}", more) and not right("", more)
    assert right("3", total) and right("There are three.", total) and not right("two or three", total)
    assert right("No, there are not.", equal) and not right("yes", equal)
    assert right(f"there are four cats. yes. answer: {equal.answer}", equal)  # only the end counts
    assert not right(f"answer: {equal.answer}. answer: yes", equal)
    both = replace(more, rivals=(more.answer,))
    assert right(f"{more.answer} or {CONCEPTS[other].plural}", both)
