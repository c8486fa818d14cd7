"""Questions whose answer takes two pieces of evidence, and the chain that an exact program reasons by.

    Are there more cats or dogs?
    there are three cats and one dog. three is more than one. answer: cats

A chain is evidence, comparison and answer; the direct answer is its last word or two. Pairs of names are divided for
good into those that are learnt and those that are held out, and so are the wordings of each kind.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lavida.text.words import words
from mini.data.concepts import CONCEPTS
from mini.data.english import NUMBERS, yes_no
from mini.data.scenes import Placed, Scene

WEIGHTS = (0, 1, 2, 3, 2)  # of scenes of one to five objects
KEPT = {1: 0.3}  # share of the scenes in which nothing is there twice
BEFORE = "answer:"  # stands before the answer of a chain
_APART = 4  # one pair of names in so many is held out
_SMALL, _LARGE = 0.22, 0.32  # sides of a square as large as a thing, in fractions of the picture
_CLEAR = 1.5  # how many times as large the larger of two things is, at least
SIZES = ("small", "medium", "large")
_COLUMNS, _ROWS = ("left", "middle", "right"), ("top", "middle", "bottom")
# The last wording of each kind is held out.
WORDINGS: dict[str, tuple[str, ...]] = {
    "more": (
        "Are there more {several} or {others}?", "Which are more, the {several} or the {others}?",
        "Do you see more {several} or more {others}?", "What is there more of, {several} or {others}?",
    ),
    "total": (
        "How many {several} and {others} are there together?", "How many are the {several} and the {others} in all?",
        "Count the {several} and the {others} together.", "What is the number of {several} and {others} together?",
    ),
    "equal": (
        "Are there as many {several} as {others}?", "Is the number of {several} the number of {others}?",
        "Are the {several} and the {others} the same in number?", "Is there the same number of {several} and {others}?",
    ),
    "further": (
        "Which is more {way}, the {one} or the {other}?", "What is more {way}, the {one} or the {other}?",
        "Of the {one} and the {other}, which is more {way}?", "Is it the {one} or the {other} that is more {way}?",
    ),
    "colour": (
        "Do the {one} and the {other} have the same color?", "Is the {one} of the same color as the {other}?",
        "Are the {one} and the {other} the same color?", "Does the {one} have the color of the {other}?",
    ),
    "larger": (
        "Which is larger, the {one} or the {other}?", "What is larger, the {one} or the {other}?",
        "Of the {one} and the {other}, which is larger?", "Is it the {one} or the {other} that is larger?",
    ),
}  # fmt: skip
KINDS = tuple(WORDINGS)
_YES_NO, _NAMED = ("yes", "no"), ("0", "1")  # of two names the first or the second
CASES = {
    "more": _NAMED, "total": ("2", "3", "4", "5"), "equal": _YES_NO, "further": _NAMED, "colour": _YES_NO,
    "larger": _NAMED,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reasoned:
    """Hold a question with its chain; `rivals` are the answers that a guess would choose among."""

    kind: str
    names: tuple[str, str]
    prompt: str
    evidence: str
    comparison: str
    answer: str
    rivals: tuple[str, ...]

    @property
    def case(self) -> str:
        """Return what stands for the answer where answers are counted: of two names, which one is meant."""
        return str(self.rivals.index(self.answer)) if self.rivals != _YES_NO else self.answer

    @property
    def chain(self) -> str:
        """Return evidence, comparison and answer."""
        return f"{self.evidence}. {self.comparison}. {BEFORE} {self.answer}"


def held_out(names: Sequence[str]) -> bool:
    """Report whether a pair of names is held out, in either order."""
    return zlib.crc32(" ".join(sorted(names)).encode()) % _APART == 0


def allowed(scene: Scene, rng: random.Random, *, apart: bool = False) -> dict[str, dict[str, list[Reasoned]]]:
    """Return all questions that a scene allows by kind and case; those of one case have the same guess for an answer.

    `apart` asks of held-out pairs in held-out wordings; `rng` draws the others.
    """
    found: dict[str, dict[str, list[Reasoned]]] = {}
    for kind, pair in itertools.product(KINDS, itertools.permutations(scene.counts, 2)):
        if held_out(pair) == apart:
            wording = WORDINGS[kind][-1] if apart else rng.choice(WORDINGS[kind][:-1])
            for one in _ASKED[kind](scene, pair, wording):
                found.setdefault(kind, {}).setdefault(one.case, []).append(one)
    return found


def reason(scene: Scene, n: int, rng: random.Random) -> list[Reasoned]:
    """Draw n questions about trained pairs, the kinds in turn and of each kind every case as often; none of no pair."""
    found = allowed(scene, rng)
    kinds = itertools.chain.from_iterable(rng.sample(sorted(found), len(found)) for _ in range(n))
    cases = [found[kind] for kind in itertools.islice(kinds, n)]
    return [rng.choice(own[rng.choice(sorted(own))]) for own in cases]


def balanced(scenes: Iterable[Scene], n: int, rng: random.Random) -> list[tuple[int, Reasoned]]:
    """Draw questions about held-out pairs with the number of their scene: n of a kind, each of its cases as often.

    No more scenes are taken than that needs. A scene is asked each kind once at most; where the scenes do not allow
    enough of a case, there are fewer.
    """
    left = {(kind, case): n // len(cases) for kind, cases in CASES.items() for case in cases}
    asked = []
    for number, scene in enumerate(scenes):
        for kind, cases in allowed(scene, rng, apart=True).items():
            case = max(sorted(cases), key=lambda case: left[kind, case])
            if left[kind, case]:
                left[kind, case] -= 1
                asked.append((number, rng.choice(cases[case])))
        if not any(left.values()):
            break
    return asked


def right(text: str, asked: Reasoned) -> bool:
    """Report whether a text gives the true answer and none of its rivals; of a chain only its end counts."""
    said = set(words(text.lower().rpartition(BEFORE)[2]))
    return {rival for rival in asked.rivals if not said.isdisjoint(_forms(rival))} == {asked.answer}


def _forms(answer: str) -> set[str]:
    """Return the words that give an answer: a name in singular and plural, a number as a figure too."""
    word = answer.removeprefix("the ")
    forms = {word}
    for concept in CONCEPTS.values():
        if word in (concept.name, concept.plural):
            forms |= {concept.name, concept.plural}
    if word in NUMBERS:
        forms.add(str(NUMBERS.index(word)))
    return forms


def _numbered(name: str, count: int) -> str:
    return f"{NUMBERS[count]} {name if count == 1 else CONCEPTS[name].plural}"


def _counted(
    kind: str, scene: Scene, names: tuple[str, str], wording: str, comparison: str, answer: str, rivals: tuple[str, ...]
) -> Reasoned:
    """Return a question about two numbers."""
    first, second = (CONCEPTS[name].plural for name in names)
    numbers = [_numbered(name, scene.counts[name]) for name in names]
    verb = "is" if scene.counts[names[0]] == 1 else "are"
    return Reasoned(
        kind=kind, names=names, prompt=wording.format(several=first, others=second),
        evidence=f"there {verb} {numbers[0]} and {numbers[1]}", comparison=comparison, answer=answer, rivals=rivals,
    )  # fmt: skip


def _more(scene: Scene, names: tuple[str, str], wording: str) -> Iterator[Reasoned]:
    first, second = (scene.counts[name] for name in names)
    several = tuple(CONCEPTS[name].plural for name in names)
    if first != second:
        high, low = NUMBERS[max(first, second)], NUMBERS[min(first, second)]
        comparison = f"{high} is more than {low}"
        yield _counted("more", scene, names, wording, comparison, several[first < second], several)


def _total(scene: Scene, names: tuple[str, str], wording: str) -> Iterator[Reasoned]:
    first, second = (scene.counts[name] for name in names)
    total = NUMBERS[first + second]
    comparison = f"{NUMBERS[first]} and {NUMBERS[second]} is {total}"
    yield _counted("total", scene, names, wording, comparison, total, NUMBERS)


def _equal(scene: Scene, names: tuple[str, str], wording: str) -> Iterator[Reasoned]:
    first, second = (NUMBERS[scene.counts[name]] for name in names)
    same = first == second
    comparison = f"{first} is {'' if same else 'not '}{second}"
    yield _counted("equal", scene, names, wording, comparison, yes_no(same), _YES_NO)


def _single(scene: Scene, names: tuple[str, str]) -> tuple[Placed, Placed] | None:
    """Return the two things, if there is one of each."""
    if any(scene.counts[name] != 1 for name in names):
        return None
    one, other = ({o.name: o for o in scene.objects}[name] for name in names)
    return one, other


def _about(
    kind: str,
    names: tuple[str, str],
    wording: str,
    evidence: Sequence[str],
    rest: tuple[str, str, tuple[str, ...]],
    way: str = "",
) -> Reasoned:
    """Return a question about two single things; `evidence` is what each of them is."""
    comparison, answer, rivals = rest
    return Reasoned(
        kind=kind, names=names, prompt=wording.format(one=names[0], other=names[1], way=way),
        evidence=" and ".join(f"the {name} is {what}" for name, what in zip(names, evidence, strict=True)),
        comparison=comparison, answer=answer, rivals=rivals,
    )  # fmt: skip


def _further(scene: Scene, names: tuple[str, str], wording: str) -> Iterator[Reasoned]:
    things = _single(scene, names)
    if things is None:
        return
    for names_, ways, where in (
        (_COLUMNS, ("to the left", "to the right"), [o.x for o in things]),
        (_ROWS, ("to the top", "to the bottom"), [o.y for o in things]),
    ):
        first, second = (min(2, int(at * 3)) for at in where)
        if first == second:
            continue
        evidence = [_at(names_[i]) for i in (first, second)]
        for way, wins in zip(ways, (min, max), strict=True):
            winner = wins(first, second)
            loser = first + second - winner
            comparison = f"{names_[winner]} comes {'before' if winner < loser else 'after'} {names_[loser]}"
            answers = tuple(f"the {name}" for name in names)
            rest = (comparison, answers[winner != first], answers)
            yield _about("further", names, wording, evidence, rest, way)


def _at(word: str) -> str:
    if word == "middle":
        return "in the middle"
    return f"on the {word}" if word in _COLUMNS else f"at the {word}"


def _colour(scene: Scene, names: tuple[str, str], wording: str) -> Iterator[Reasoned]:
    things = _single(scene, names)
    if things is None or things[0].colour is None or things[1].colour is None:
        return
    first, second = (o.colour for o in things)
    same = first == second
    rest = (f"{first} is {'' if same else 'not '}{second}", yes_no(same), _YES_NO)
    yield _about("colour", names, wording, (str(first), str(second)), rest)


def _larger(scene: Scene, names: tuple[str, str], wording: str) -> Iterator[Reasoned]:
    things = _single(scene, names)
    if things is None:
        return
    areas = [o.w * o.h for o in things]
    first, second = (sum(area**0.5 >= side for side in (_SMALL, _LARGE)) for area in areas)
    if first == second or max(areas) < _CLEAR * min(areas):
        return
    answers = tuple(f"the {name}" for name in names)
    rest = (f"{SIZES[max(first, second)]} is more than {SIZES[min(first, second)]}", answers[first < second], answers)
    yield _about("larger", names, wording, (SIZES[first], SIZES[second]), rest)


_ASKED: dict[str, Callable[[Scene, tuple[str, str], str], Iterator[Reasoned]]] = {
    "more": _more, "total": _total, "equal": _equal, "further": _further, "colour": _colour, "larger": _larger,
}  # fmt: skip
