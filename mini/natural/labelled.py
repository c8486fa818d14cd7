"""Say about real photographs only what several parts agree on, so that questions about them have true answers."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict

import numpy as np
import torch
from torch import Tensor

from lavida.evidence.colour import main_colour
from lavida.model.evidence import GLOBAL, TILES
from lavida.model.evidence_inputs import EvidenceInputs
from mini.natural.names import COCO, IMAGENET, KINDS, NAMES, is_a, may_be
from mini.natural.photographs import Seen
from mini.natural.simulate import BRIGHT, DARK, _setting
from mini.natural.truth import Box, Thing, Truth

SURE_BOX, SUPPORTED_BOX = 0.55, 0.38
SURE_CLASS = 0.45
SURER_CLASS = 0.7  # from which a large box of another name is not believed
CLEAR_COLOUR = 0.5


class Labelled:
    """Hold photographs with the truth that their evidence allows; those that allow none are left out."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._deniable = sorted({*COCO, *KINDS, *(key for key, name in NAMES.items() if name.everyday)})
        everything = [*IMAGENET, *COCO]
        self._may = np.array([[may_be(key, name) for name in self._deniable] for key in everything])
        self._told = _spoken()
        self._settings = [_setting(key) for key in IMAGENET]
        self.truths: dict[int, Truth] = {}
        for i in range(len(seen)):
            truth = self._truth(i)
            if truth is not None:
                self.truths[i] = truth
        self._usable = list(self.truths)
        mains = [truth.main_thing.name if truth.main_thing else "" for truth in self.truths.values()]
        often = Counter(mains)
        self._weights = [often[name] ** -0.7 for name in mains]

    def __len__(self) -> int:
        return len(self._usable)

    def draw(self, rng: random.Random) -> tuple[Tensor, EvidenceInputs, Truth]:
        """Return cells [80, D], evidence and truth of a photograph; what many show is drawn less often."""
        i = rng.choices(self._usable, self._weights)[0]
        return self.seen.cells[i], self.seen.inputs_of(i), self.truths[i]

    def _truth(self, i: int) -> Truth | None:
        """Return what can be said about photograph i, None if nothing."""
        own = self.seen.inputs_of(i)
        classes, shares = own.classes[0].numpy(), own.shares[0].numpy()
        things, named = self._boxed(i, own), self._told.get(_stem(self.seen.sources[i]))
        if named is not None:  # the file's name says what the picture shows
            things = [t for t in things if is_a(t.name, named) or is_a(named, t.name)]
        else:
            named = _main_class(own)
            things = [t for t in things if not _doubtful(t, own)]
        if named is not None and not any(is_a(named, t.name) or is_a(t.name, named) for t in things):
            box = _extent(classes, shares, named)
            things.append(Thing(name=named, colour=self._colour(own, box), box=box))
        look = own.look[0]
        lightness = float(look[1])
        indoors = self._indoors(classes, shares)
        if not things and indoors is None and not look[0]:
            return None
        return Truth(
            things=tuple(things),
            main=max(range(len(things)), key=lambda k: things[k].area, default=None),
            monochrome=bool(look[0]),
            brightness="dark" if lightness < DARK else "bright" if lightness > BRIGHT else "normal",
            indoors=indoors,
            night=False if indoors is False and lightness > 0.4 else None,
            complete=self._complete(own, things, self.seen.boxes[i]),
        )

    def _boxed(self, i: int, own: EvidenceInputs) -> list[Thing]:
        """Return the boxes that are sure, or that the classifier supports."""
        things = []
        painted = iter(own.painted[0])
        for name, score, *edges in self.seen.boxes[i]:
            key = COCO[_DETECTOR[name]]
            paint = next(painted, None)
            box: Box = (edges[0], edges[1], edges[2], edges[3])
            if score < SURE_BOX and not (score >= SUPPORTED_BOX and _supported(own, key, box)):
                continue
            colour = None
            if paint is not None and not own.look[0, 0]:
                said, share = main_colour(paint)
                colour = said if share >= CLEAR_COLOUR else None
            things.append(Thing(name=key, colour=colour, box=box))
        return things

    def _colour(self, own: EvidenceInputs, box: Box) -> str | None:
        """Return the colour of the cells in the inner part of a box, if one stands out."""
        if own.look[0, 0]:
            return None
        inside = _cells_in(box, 0.15)
        if not inside.any():
            return None
        said, share = main_colour(own.colours[0, 16:][torch.from_numpy(inside)].mean(0))
        return said if share >= CLEAR_COLOUR else None

    def _indoors(self, classes: np.ndarray, shares: np.ndarray) -> bool | None:
        """Return True for indoors and False for outdoors if the classes of the cells agree, else None."""
        inside = outside = 0.0
        for c, p in zip(classes.ravel(), shares.ravel(), strict=True):
            if self._settings[c] is True:
                inside += p
            elif self._settings[c] is False:
                outside += p
        if inside > 12 and inside > 4 * outside:
            return True
        return False if outside > 12 and outside > 4 * inside else None

    def _complete(self, own: EvidenceInputs, things: list[Thing], boxes: list[tuple]) -> frozenset[str]:
        """Return the names that nothing in the evidence points at, and those whose number is certain."""
        suspected = np.zeros(len(self._may), dtype=bool)
        for c, p in zip(own.classes[0].flatten().tolist(), own.shares[0].flatten().tolist(), strict=True):
            suspected[c] |= p > 0.05
        for c, p in zip(own.top[0].tolist(), own.top_shares[0].tolist(), strict=True):
            suspected[c] |= p > 0.02
        for name, *_ in boxes:
            suspected[len(IMAGENET) + _DETECTOR[name]] = True
        pointed = self._may[suspected].any(0)
        absent = {name for name, hit in zip(self._deniable, pointed, strict=True) if not hit}
        absent = {name for name in absent if not any(may_be(t.name, name) for t in things)}
        lowest: dict[str, float] = defaultdict(lambda: 1.0)
        for name, score, *_ in boxes:
            key = COCO[_DETECTOR[name]]
            lowest[key] = min(lowest[key], score)
        counted = Counter(t.name for t in things)
        sure = {
            key for key, n in counted.items() if lowest.get(key, 0) >= 0.45 or (n == 1 and lowest.get(key, 0) >= 0.4)
        }
        return frozenset(absent | sure)


def _stem(source: str) -> str:
    """Return the words of a file's name: "explore/polarBear2.webp" becomes "polar bear"."""
    stem = re.sub(r"([a-z])([A-Z])", r"\1 \2", source.rsplit("/", 1)[-1].rsplit(".", 1)[0])
    return " ".join(re.sub(r"[^A-Za-z]+", " ", stem).lower().split())


def _spoken() -> dict[str, str]:
    """Map every lower-case word for a name, singular or plural, to its key."""
    found: dict[str, str] = {}
    for key, name in NAMES.items():
        for word in (key, name.text, name.plural, *(w for pair in name.synonyms for w in pair)):
            found.setdefault(word.lower(), key)
    return found


def _names() -> dict[str, int]:
    from lavida.text import things

    return {name: i for i, name in enumerate(things.COCO)}


_DETECTOR = _names()


def _main_class(own: EvidenceInputs) -> str | None:
    """Return the name of the main thing: the first class if it is sure, else a kind that the first three share."""
    top, shares = own.top[0].tolist(), own.top_shares[0].tolist()
    if shares[0] >= SURE_CLASS:
        return IMAGENET[top[0]]
    for kind in NAMES[IMAGENET[top[0]]].kinds[:1]:
        if kind in KINDS and sum(p for c, p in zip(top, shares, strict=True) if is_a(IMAGENET[c], kind)) >= 0.5:
            return kind
    return None


def _doubtful(thing: Thing, own: EvidenceInputs) -> bool:
    """Tell whether a thing from a large box is named otherwise by a classifier that is sure."""
    first = IMAGENET[int(own.top[0, 0])]
    if float(own.top_shares[0, 0]) < SURER_CLASS or thing.area < 0.25 or thing.name == "person":
        return False
    return not may_be(first, thing.name) and not may_be(thing.name, first)


def _cells_in(box: Box, trim: float = 0.0) -> np.ndarray:
    """Tell which cells [64] of the tile map have their centre in a box."""
    x0, y0, x1, y1 = box
    w, h = (x1 - x0) * trim, (y1 - y0) * trim
    at = (np.arange(TILES) + 0.5) / TILES
    return np.outer((at >= y0 + h) & (at <= y1 - h), (at >= x0 + w) & (at <= x1 - w)).ravel()


def _supported(own: EvidenceInputs, key: str, box: Box) -> bool:
    """Tell whether the classifier sees a thing of this name in the box, or first in the whole picture."""
    top = [(IMAGENET[c], p) for c, p in zip(own.top[0].tolist(), own.top_shares[0].tolist(), strict=True)]
    if sum(p for name, p in top if is_a(name, key)) > 0.15:
        return True
    inside = _cells_in(box)
    classes, shares = (
        own.classes[0, GLOBAL * GLOBAL :].numpy()[inside],
        own.shares[0, GLOBAL * GLOBAL :].numpy()[inside],
    )
    agreed = [p for c, p in zip(classes[:, :2].ravel(), shares[:, :2].ravel(), strict=True) if is_a(IMAGENET[c], key)]
    return bool(agreed) and max(agreed) > 0.2


def _extent(classes: np.ndarray, shares: np.ndarray, name: str) -> Box:
    """Return the box around the cells of the tile map that show a name or one of its kind; the middle if none does."""
    wanted = {name, *NAMES[name].kinds[:1]}
    hit = np.array(
        [
            any(p > 0.25 and wanted & {IMAGENET[c], *NAMES[IMAGENET[c]].kinds[:1]} for c, p in zip(cs, ps, strict=True))
            for cs, ps in zip(classes[16:, :2], shares[16:, :2], strict=True)
        ]
    ).reshape(TILES, TILES)
    if hit.sum() < 2:
        return (0.15, 0.15, 0.85, 0.85)
    rows, columns = np.where(hit.any(1))[0], np.where(hit.any(0))[0]
    return tuple(float(x) / TILES for x in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
