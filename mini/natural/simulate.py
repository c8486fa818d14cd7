"""Invent photographs as plain facts, and the evidence that the parts would give of them, with their measured errors.

Needs no pixels: a truth is drawn at random, then each part's answer to it with the errors that were measured on 63
photographs (own class first in .55 of the cells inside an object, leaking to .23 of those outside; first class of the
whole picture right in .67, among the first three in .83; boxes with recall .60 and precision .55; colours right in .8).
How sure the classifier is says how often it is right: of 810 photographs and crops whose file is named after what it
shows, a first class with a share below .2 was right in .19, to .4 in .34, to .6 in .52, to .8 in .68, above in .79. Of
97 with a sure first class that the detector does not know, 62 had a large box of another name, with scores up to .67.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lavida.model.evidence import CELLS, GLOBAL, MOST, TILES
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.things import COLOURS
from mini.natural.modifiers import sort_of
from mini.natural.names import COCO, IMAGENET, KINDS, NAMES, is_a
from mini.natural.texts import invent_texts
from mini.natural.truth import Box, Thing, Truth

Boxes = list[tuple[int, float, Box, int]]  # class, score, edges, thing or -1
BOXES = 8
REPEATED = 0.17  # share of the names found that are found again in the wrong place
CLASSES, TOP = 5, 3
ACCOMPANIED = 0.08  # share of the pictures with one person and one thing that is held, worn, ridden or sat on
TEXTS = 0.2  # share of the pictures with text
DARK, BRIGHT = 0.3, 0.66  # limits of the mean lightness
_INDOORS = frozenset(
    {"furniture", "clothes", "drink", "food", "fruit", "vegetable", "toy", "computer", "bottle", "tool"}
)
_OUTDOORS = frozenset({"vehicle", "building", "plant", "boat", "ship", "weapon"})
_ROOM = frozenset(
    "remote control,keyboard,computer mouse,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,"
    "teddy bear,"
    "hair dryer,toothbrush,television,laptop,cup,fork,knife,spoon,bowl,wine glass,pillow,lamp,curtain,plate,pot".split(
        ","
    )
)
_OPEN = frozenset(
    "traffic light,fire hydrant,stop sign,parking meter,bench,kite,surfboard,ski,snowboard,frisbee,tree,mountain,beach,"
    "lake,valley,cliff,waterfall,fence,bridge,lighthouse,flag,zebra,giraffe,elephant,horse,sheep,cow,bear".split(",")
)
# Colours that are often taken for another.
_NEAR = {
    "red": ("orange", "brown", "pink", "purple"), "orange": ("brown", "red", "yellow"),
    "yellow": ("orange", "brown", "white", "green"), "green": ("brown", "gray", "black", "yellow"),
    "blue": ("gray", "black", "purple", "white"), "purple": ("blue", "pink", "gray"),
    "pink": ("red", "white", "purple"),
    "brown": ("gray", "black", "orange", "red"), "black": ("gray", "brown", "blue"), "white": ("gray", "blue", "brown"),
    "gray": ("brown", "black", "white", "blue"),
}  # fmt: skip
_BEHIND = ("gray", "gray", "black", "white", "brown")
_COLOUR_ODDS = (9, 5, 6, 9, 9, 3, 4, 12, 12, 14, 9)


@dataclass(frozen=True, kw_only=True)
class Invented:
    """Hold an invented picture: its truth and the evidence about it."""

    truth: Truth
    inputs: EvidenceInputs


class Simulator:
    """Invent pictures; `classifier` [1000, W] are the weight rows that tell which classes look alike."""

    def __init__(self, classifier: Tensor, *, neighbours: int = 24) -> None:
        rows = torch.nn.functional.normalize(classifier.float() - classifier.float().mean(0), dim=1)
        alike = rows @ rows.T
        alike.fill_diagonal_(-1)
        found = alike.topk(neighbours, 1)
        self._near = found.indices.numpy()
        odds = (found.values * 12).softmax(1)
        self._odds = odds.numpy()
        self._classes: dict[str, list[int]] = {}
        for key in NAMES:
            own = [i for i, name in enumerate(IMAGENET) if name == key]
            self._classes[key] = own or [i for i, name in enumerate(IMAGENET) if is_a(name, key)]
        self._clothes = [i for i, name in enumerate(IMAGENET) if is_a(name, "clothes")]
        self._coco = {name: i for i, name in enumerate(COCO)}
        self._box_kind = {
            key: next((self._coco[k] for k in (key, *NAMES[key].kinds) if k in self._coco), None) for key in NAMES
        }
        self._alike = self._things_alike()
        kinds = [{k for k in NAMES[thing].kinds if k in KINDS} for thing in COCO]
        self._akin = {key: [i for i, own in enumerate(kinds) if own & set(NAMES[key].kinds)] for key in NAMES}
        everyday = [key for key, name in NAMES.items() if name.everyday]
        self._pools = (list(COCO), sorted(set(IMAGENET)), everyday, ["person", "dog", "cat", "car", "bird", "chair"])
        self._carried = [
            key
            for key, name in NAMES.items()
            if sort_of(key) in _CARRIED
            and key not in KINDS
            and name.everyday
            and (self._classes[key] or key in self._coco)
        ]
        self._settings = {key: _setting(key) for key in NAMES}

    def _things_alike(self) -> list[list[int]]:
        """Return for each detector class those of its kind, which it may be taken for."""
        alike = []
        for i, name in enumerate(COCO):
            kinds = set(NAMES[name].kinds)
            alike.append(
                [j for j, other in enumerate(COCO) if j != i and kinds & set(NAMES[other].kinds)] or [56, 41, 0]
            )
        return alike

    def __call__(self, rng: random.Random) -> Invented:
        """Invent one picture."""
        truth = self.truth(rng)
        return Invented(truth=truth, inputs=self.evidence(truth, rng))

    # ---- the truth

    def truth(self, rng: random.Random) -> Truth:
        """Draw what a photograph shows."""
        monochrome = rng.random() < 0.12
        indoors = rng.choice((True, False, False, None))
        night = None if indoors is not False else rng.random() < 0.25
        brightness = "dark" if night else rng.choices(("dark", "normal", "bright"), (1, 6, 3))[0]
        names = self._names(rng, indoors)
        things: list[Thing] = []
        for k, (name, count) in enumerate(names):
            main = k == 0 and count == 1 and rng.random() < 0.75
            colour = None if monochrome or rng.random() < 0.12 else _colour(name, rng)
            for _ in range(count):
                if rng.random() < 0.15 and not monochrome:
                    colour = _colour(name, rng)
                on = things[0] if k == 1 and things[0].name == "person" and sort_of(name) in _WORN else None
                box = _box_on(on.box, rng) if on is not None else _box(rng, things, main=main, several=count > 1)
                things.append(Thing(name=name, colour=colour, box=box))
        return Truth(
            things=tuple(things),
            main=max(range(len(things)), key=lambda i: things[i].area, default=None),
            monochrome=monochrome,
            brightness=brightness,
            indoors=indoors,
            night=night,
            ground=rng.choice(_grounds(indoors, brightness == "dark", monochrome)) if rng.random() < 0.6 else None,
            texts=invent_texts(rng) if rng.random() < TEXTS else (),
        )

    def _names(self, rng: random.Random, indoors: bool | None) -> list[tuple[str, int]]:
        """Draw different names and how many there are of each."""
        wanted = rng.choices((0, 1, 2, 3, 4), (1, 9, 7, 4, 2))[0]
        if rng.random() < ACCOMPANIED:
            return [("person", 1), (rng.choice(self._carried), 1)]
        names: list[tuple[str, int]] = []
        left = BOXES
        for _ in range(40):
            if len(names) == wanted or left <= 0:
                break
            key = rng.choice(rng.choices(self._pools, (10, 7, 3, 5))[0])
            place = self._settings[key]
            if place is not None and indoors is not None and place != indoors and rng.random() < 0.85:
                continue
            if not (self._classes[key] or key in self._coco or key == "person"):
                continue  # nothing could see it
            if any(is_a(key, other) or is_a(other, key) for other, _ in names):
                continue
            several = rng.random() < (0.4 if key in self._coco else 0.15)
            count = min(rng.choices((2, 3, 4, 5, 6), (6, 4, 3, 2, 1))[0] if several else 1, left)
            names.append((key, count))
            left -= count
        return names

    # ---- the evidence

    def evidence(self, truth: Truth, rng: random.Random) -> EvidenceInputs:
        """Draw what the parts say about a truth."""
        g = np.random.default_rng(rng.getrandbits(48))
        taken: dict[str, tuple[int, float]] = {}  # things of one name look alike, mostly
        for thing in truth.things:
            if thing.name not in taken:
                taken[thing.name] = self._perceived(thing.name, rng)
        seen = [taken[t.name] if rng.random() < 0.85 else self._perceived(t.name, rng) for t in truth.things]
        shown = _shown(truth)
        classes, shares = self._cells(shown, seen, truth, g)
        top, top_shares = self._whole(truth, seen, g)
        boxes = self._boxes(truth, rng)
        ground = _ground(truth, rng)
        colours, noisy = _paint(truth, shown, ground, rng, g)
        return _inputs(truth, classes, shares, top, top_shares, boxes, colours, noisy, ground, rng)

    def _perceived(self, name: str, rng: random.Random) -> tuple[int, float]:
        """Draw the class that a thing is taken for by most of its cells, and how sure that looks, from 0 to 1."""
        own, sure = self._classes[name], rng.betavariate(1.0, 0.8)
        if name == "person" or not own:
            other = rng.choice(self._clothes) if name == "person" or rng.random() < 0.2 else rng.randrange(1000)
            return other, 0.5 * sure
        right = rng.choice(own)
        return (right if rng.random() < 0.3 + 0.7 * sure else self._confused(right, rng)), sure

    def _confused(self, right: int, rng: random.Random) -> int:
        return int(rng.choices(self._near[right].tolist(), self._odds[right].tolist())[0])

    def _cells(
        self, shown: np.ndarray, seen: list[tuple[int, float]], truth: Truth, g: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw classes and probabilities [C, 5] of the cells."""
        n = CELLS
        main = seen[truth.main] if truth.main is not None else (int(g.integers(1000)), 0.3)
        inside = shown >= 0
        named = np.array([*(name for name, _ in seen), main[0]])[shown]
        sure = np.array([*(own for _, own in seen), 0.0])[shown]
        u = g.random(n)
        near = self._near[named, (g.random(n) ** 2 * 10).astype(int)]
        owned = np.where(inside, 0.42 + 0.45 * sure, 0.3)
        first = np.where(u < owned, named, np.where(u < 0.88, near, g.integers(1000, size=n)))
        mean = 0.2 + 0.55 * sure
        peak = np.where(inside, g.beta(2.4 * mean + 0.1, 2.4 * (1 - mean) + 0.1, n), g.beta(0.7, 5.0, n))
        others = self._near[first[:, None], g.integers(0, 12, (n, CLASSES - 1))]
        others = np.where(g.random(others.shape) < 0.25, g.integers(1000, size=others.shape), others)
        own = (g.random(n) < 0.5) & inside  # where another class comes first, its own often comes second
        others[:, 0] = np.where(own, named, others[:, 0])
        rest = np.sort(g.dirichlet(np.full(CLASSES, 1.0), n)[:, : CLASSES - 1], 1)[:, ::-1] * (1 - peak)[:, None]
        rest = np.minimum(rest * g.uniform(0.15, 0.7, (n, 1)), peak[:, None])
        return np.concatenate((first[:, None], others), 1), np.concatenate((peak[:, None], rest), 1)

    def _whole(
        self, truth: Truth, seen: list[tuple[int, float]], g: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw classes and probabilities [3] of the whole picture: of the main thing, mostly, if that is sure."""
        main, sure = int(g.integers(1000)), float(g.beta(0.7, 2.0))
        if truth.things:
            areas = np.array([thing.area + 0.02 for thing in truth.things]) ** 1.5
            main, sure = seen[int(g.choice(len(seen), p=areas / areas.sum()))]
        single = len({thing.name for thing in truth.things}) == 1
        peak = float(np.clip((sure if single else sure * g.uniform(0.4, 1.0)) + g.normal(0, 0.06), 0.04, 0.99))
        others = [int(self._near[main, k]) for k in g.permutation(8)[:2]]
        if len(seen) > 1 and g.random() < 0.4:
            others[0] = seen[int(g.integers(len(seen)))][0]
        ranks = [main, *others]
        u = float(g.random())
        if u < 0.35 * (1 - peak):
            ranks = [ranks[1], ranks[0], ranks[2]]
        elif u < 0.55 * (1 - peak):
            ranks = [int(g.integers(1000)), *others]
        rest = np.sort(g.dirichlet(np.full(TOP, 0.8))[:2])[::-1] * min(1 - peak, peak) * g.uniform(0.2, 0.9)
        return np.array(ranks), np.array([peak, *rest])

    def _mistaken(self, name: str, rng: random.Random) -> int:
        """Draw the detector's class for a thing that it does not know."""
        akin = self._akin[name]
        return rng.choice(akin) if akin and rng.random() < 0.7 else rng.randrange(len(COCO))

    def _boxes(self, truth: Truth, rng: random.Random) -> Boxes:
        """Draw boxes."""
        found: Boxes = []
        counted = Counter(thing.name for thing in truth.things)
        for i, thing in enumerate(truth.things):
            kind = self._box_kind[thing.name]
            if kind is None:
                if rng.random() < (0.6 if thing.area > 0.2 else 0.2):
                    score = 0.25 + 0.45 * rng.betavariate(1.1, 2.0)
                    found.append((self._mistaken(thing.name, rng), score, _jitter(thing.box, rng), i))
                continue
            odds = min(0.95, 0.52 + 1.6 * thing.area) if thing.area > 0.004 else 0.3
            odds = max(odds, 0.8) if counted[thing.name] > 1 and thing.area > 0.008 else odds
            if rng.random() > odds:
                continue
            if rng.random() < 0.14:
                score = 0.25 + 0.45 * rng.betavariate(1.1, 2.0)
                found.append((rng.choice(self._alike[kind]), score, _jitter(thing.box, rng), i))
                if rng.random() < 0.6:
                    continue
            score = 0.25 + 0.6 * rng.betavariate(1.3, 2.0)
            found.append((kind, score, _jitter(thing.box, rng), i))
        found += self._repeated(found, rng)
        for _ in range(rng.choices((0, 1, 2, 3), (55, 28, 12, 5))[0]):
            near = [self._box_kind[t.name] for t in truth.things if self._box_kind[t.name] is not None]
            kind = (
                rng.choice(self._alike[rng.choice(near)])
                if near and rng.random() < 0.6
                else rng.choice((0, 74, 56, 39, 41, 13, 58, 73, 2, 32, rng.randrange(80)))
            )
            found.append((kind, 0.25 + 0.3 * rng.random() ** 2, _box(rng, []), -1))
        return found

    @staticmethod
    def _repeated(found: Boxes, rng: random.Random) -> Boxes:
        """Draw weak boxes of a name that the detector has found already, where there is no such thing.

        Of 534 names of photographs with a score of at least .5, .30 have weaker boxes beside it (below .38).
        """
        again: Boxes = []
        for kind in sorted({kind for kind, *_ in found}):
            if rng.random() < REPEATED:
                size = rng.choice([edges for own, _, edges, _ in found if own == kind])
                for _ in range(rng.choices((1, 2, 3, 4), (6, 3, 1, 1))[0]):
                    again.append((kind, 0.25 + 0.13 * rng.random() ** 1.5, _moved(size, rng), -1))
        return again


def _setting(key: str) -> bool | None:
    """Tell whether a thing is found indoors (True), outdoors (False) or in both."""
    kinds = {key, *NAMES[key].kinds}
    if key in _ROOM or kinds & _INDOORS:
        return True
    if key in _OPEN or kinds & _OUTDOORS:
        return False
    return None


_WORN = frozenset({"clothes", "thing", "food", "fruit", "drink"})
_CARRIED = _WORN | {"vehicle", "boat", "furniture", "animal", "bird"}

_USUAL = {
    "banana": ("yellow",), "lemon": ("yellow",), "orange": ("orange",), "carrot": ("orange",), "broccoli": ("green",),
    "tomato": ("red",), "strawberry": ("red",), "tree": ("green",), "frog": ("green",), "zebra": ("white",),
    "elephant": ("gray",), "bear": ("brown", "black"), "giraffe": ("brown", "yellow"),
    "fire hydrant": ("red", "yellow"),
    "pig": ("pink",), "sheep": ("white",), "flamingo": ("pink",), "lion": ("brown",), "pizza": ("yellow", "red"),
}  # fmt: skip


def _colour(name: str, rng: random.Random) -> str:
    """Draw a likely colour of a thing."""
    if name in _USUAL and rng.random() < 0.8:
        return rng.choice(_USUAL[name])
    if "animal" in NAMES[name].kinds and rng.random() < 0.6:
        return rng.choice(("brown", "brown", "black", "white", "gray", "orange"))
    return rng.choices(COLOURS, _COLOUR_ODDS)[0]


def _box(rng: random.Random, others: list[Thing], *, main: bool = False, several: bool = False) -> Box:
    """Draw a box that mostly does not cover another's centre."""
    for _ in range(8):
        size = rng.uniform(0.45, 0.98) if main else rng.uniform(0.08, 0.35) if several else rng.uniform(0.1, 0.6)
        ratio = rng.uniform(0.6, 1.6)
        w, h = min(0.98, size * ratio**0.5), min(0.98, size / ratio**0.5)
        x, y = rng.uniform(0, 1 - w), rng.uniform(0, 1 - h)
        if main:
            x, y = (x + (1 - w) / 2) / 2, (y + (1 - h) / 2) / 2
        box = (x, y, x + w, y + h)
        if not any(
            _inside(o.centre, box) or _inside(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), o.box) for o in others
        ):
            break
    return box


def _box_on(other: Box, rng: random.Random) -> Box:
    """Draw a box inside another: of what a person wears or holds."""
    x0, y0, x1, y1 = other
    w, h = (x1 - x0) * rng.uniform(0.3, 0.8), (y1 - y0) * rng.uniform(0.2, 0.6)
    x, y = rng.uniform(x0, x1 - w), rng.uniform(y0, y1 - h)
    return x, y, x + w, y + h


def _moved(box: Box, rng: random.Random) -> Box:
    """Return a box of about the same size elsewhere in the picture."""
    w, h = ((high - low) * rng.uniform(0.5, 1.1) for low, high in ((box[0], box[2]), (box[1], box[3])))
    w, h = min(w, 1.0), min(h, 1.0)
    x, y = rng.uniform(0, 1 - w), rng.uniform(0, 1 - h)
    return x, y, x + w, y + h


def _inside(point: tuple[float, float], box: Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _jitter(box: Box, rng: random.Random) -> Box:
    w, h = box[2] - box[0], box[3] - box[1]
    x0, y0 = box[0] + rng.gauss(0, 0.07) * w, box[1] + rng.gauss(0, 0.07) * h
    x1, y1 = box[2] + rng.gauss(0, 0.07) * w, box[3] + rng.gauss(0, 0.07) * h
    x0, x1 = sorted((min(1.0, max(0.0, x0)), min(1.0, max(0.0, x1))))
    y0, y1 = sorted((min(1.0, max(0.0, y0)), min(1.0, max(0.0, y1))))
    return x0, y0, x1, y1


def _shown(truth: Truth) -> np.ndarray:
    """Return the thing [C] that each cell shows, the smallest where several cover it; -1 for none."""
    shown = np.full(CELLS, -1)
    order = sorted(range(len(truth.things)), key=lambda i: -truth.things[i].area)
    for side, first in ((GLOBAL, 0), (TILES, GLOBAL * GLOBAL)):
        grid = shown[first : first + side * side].reshape(side, side)
        centres = (np.arange(side) + 0.5) / side
        for i in order:
            x0, y0, x1, y1 = truth.things[i].box
            rows, columns = (centres >= y0) & (centres <= y1), (centres >= x0) & (centres <= x1)
            grid[np.ix_(rows, columns)] = i
            x, y = truth.things[i].centre
            grid[min(side - 1, int(y * side)), min(side - 1, int(x * side))] = i
    return shown


def _grounds(indoors: bool | None, dark: bool, monochrome: bool) -> tuple[str, ...]:
    """Return the likely colours of a background."""
    if monochrome:
        return ("gray", "black", "white")
    if dark:
        return ("black", "black", "gray", "brown", "blue")
    outside = ("green", "blue", "gray", "white", "brown", "green")
    inside = ("brown", "white", "gray", "black", "brown")
    return inside if indoors else outside if indoors is False else COLOURS


def _ground(truth: Truth, rng: random.Random) -> np.ndarray:
    """Draw mean colour shares [11] of the background: the one that is known, and some of another."""
    likely = _grounds(truth.indoors, truth.brightness == "dark", truth.monochrome)
    shares = np.full(len(COLOURS), 0.01)
    shares[COLOURS.index(truth.ground or rng.choice(likely))] += rng.uniform(0.5, 1)
    other = rng.choice([c for c in COLOURS if c != truth.ground] if rng.random() < 0.3 else likely)
    shares[COLOURS.index(other)] += rng.uniform(0, 0.5 if truth.ground else 1)
    return shares / shares.sum()


def _paint(
    truth: Truth, shown: np.ndarray, ground: np.ndarray, rng: random.Random, g: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw colour shares [C, 11] of the cells, and the shares of each thing as it appears."""
    things = []
    for thing in truth.things:
        shares = 0.02 * g.random(len(COLOURS))
        if truth.monochrome:
            shares[[COLOURS.index(rng.choice(("gray", "black", "white"))), COLOURS.index("gray")]] += g.random(2)
        else:
            name = thing.colour or rng.choice(COLOURS)
            seen = name if rng.random() < 0.85 else rng.choice(_NEAR[name])
            own = rng.uniform(0.45, 1.0)
            shares[COLOURS.index(seen)] += own
            for other in rng.sample(_NEAR[seen], 2):
                shares[COLOURS.index(other)] += 0.3 * rng.random()
            # Shadow and background inside a box: up to as much as the thing's own colour.
            shares[COLOURS.index(rng.choice(_BEHIND))] += own * rng.uniform(0, 0.9)
            if thing.colour is None:
                for other in rng.sample(COLOURS, 2):
                    shares[COLOURS.index(other)] += 0.6 * rng.random()
        things.append(shares / shares.sum())
    table = np.stack([*things, ground])
    pure = table[shown]
    mixed = np.where(shown[:, None] >= 0, 0.75, 1.0) * pure + np.where(shown[:, None] >= 0, 0.25, 0.0) * ground
    mixed = mixed ** g.uniform(1.2, 3.0, (len(mixed), 1)) * g.gamma(2.0, 0.5, mixed.shape)
    return mixed / mixed.sum(1, keepdims=True), things


def _inputs(
    truth: Truth,
    classes: np.ndarray,
    shares: np.ndarray,
    top: np.ndarray,
    top_shares: np.ndarray,
    boxes: Boxes,
    colours: np.ndarray,
    things: list[np.ndarray],
    ground: np.ndarray,
    rng: random.Random,
) -> EvidenceInputs:
    """Return everything as tensors, boxes in the order of `Evidence`: by kind, each from left to right."""
    best: dict[int, float] = {}
    for kind, score, _, _ in boxes:
        best[kind] = max(score, best.get(kind, 0))
    boxes = sorted(sorted(boxes, key=lambda b: -b[1])[:12], key=lambda b: (-best[b[0]], b[0], b[2][0] + b[2][2]))[
        :BOXES
    ]
    totals, met = Counter(kind for kind, *_ in boxes), Counter[int]()
    k = len(boxes)
    kinds, numbers, counts = (torch.zeros(1, BOXES, dtype=torch.long) for _ in range(3))
    scores, edges, painted = torch.zeros(1, BOXES), torch.zeros(1, BOXES, 4), torch.zeros(1, BOXES, len(COLOURS))
    for b, (kind, score, edge, thing) in enumerate(boxes):
        met[kind] += 1
        kinds[0, b], numbers[0, b], counts[0, b] = kind, min(met[kind], MOST), min(totals[kind], MOST)
        scores[0, b], edges[0, b] = score, torch.tensor(edge)
        paint = 0.85 * things[thing] + 0.15 * ground if thing >= 0 else ground
        painted[0, b] = torch.from_numpy(paint)
    assert k <= BOXES
    low, high = {"dark": (0.1, DARK), "normal": (DARK, BRIGHT), "bright": (BRIGHT, 0.95)}[truth.brightness]
    look = torch.tensor([[float(truth.monochrome), rng.uniform(low, high), 1.0]])
    return EvidenceInputs(
        classes=torch.from_numpy(classes)[None],
        shares=torch.from_numpy(shares)[None].float(),
        colours=torch.from_numpy(colours)[None].float(),
        things=kinds,
        scores=scores,
        edges=edges,
        painted=painted,
        numbers=numbers,
        counts=counts,
        top=torch.from_numpy(top)[None],
        top_shares=torch.from_numpy(top_shares)[None].float(),
        look=look,
    )


def drop_sources(
    inputs: EvidenceInputs, rng: random.Random, odds: float = 0.07
) -> tuple[EvidenceInputs, frozenset[str]]:
    """Leave each source of evidence out by chance; return the names of those left out too."""
    dropped = frozenset(name for name in ("classes", "colours", "boxes", "whole") if rng.random() < odds)
    changed = {name: getattr(inputs, name) for name in EvidenceInputs.__dataclass_fields__}
    if "classes" in dropped:
        changed["shares"] = torch.zeros_like(inputs.shares)
    if "whole" in dropped:
        changed["top_shares"] = torch.zeros_like(inputs.top_shares)
    if "colours" in dropped:
        changed["colours"] = torch.zeros_like(inputs.colours)
        changed["painted"] = torch.zeros_like(inputs.painted)
        changed["look"] = torch.zeros_like(inputs.look)
    if "boxes" in dropped:
        for name in ("scores", "things", "numbers", "counts", "edges", "painted"):
            changed[name] = torch.zeros_like(getattr(inputs, name))
    return EvidenceInputs(**changed), dropped
