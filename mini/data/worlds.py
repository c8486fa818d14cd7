"""Random scenes: which cut-outs, how many, where; captions and questions follow from them exactly."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mini.data.concepts import COLOURS, CONCEPTS
from mini.data.scenes import Placed, Scene


@dataclass(frozen=True, kw_only=True)
class CutoutInfo:
    """Describe a cut-out to the sampler."""

    index: int
    name: str
    colour: str | None
    aspect: float  # width / height


# Longest side of an object, as a fraction of the scene, by the number of objects.
_SIZES = {1: (0.28, 0.9), 2: (0.24, 0.5), 3: (0.2, 0.42), 4: (0.18, 0.38), 5: (0.17, 0.32)}


class SceneSampler:
    """Sample scenes from given cut-outs."""

    def __init__(
        self,
        cutouts: Sequence[CutoutInfo],
        *,
        backgrounds: int = 0,
        recolour: Callable[[int, float], str | None] | None = None,
    ) -> None:
        """Take cut-outs; `recolour(cutout index, degrees)` names the colour of one whose hue is turned.

        Without `recolour` no hue is turned.
        """
        self.by_name: dict[str, list[CutoutInfo]] = {}
        for c in cutouts:
            self.by_name.setdefault(c.name, []).append(c)
        self.names = sorted(self.by_name)
        self.backgrounds = backgrounds
        self.recolour = recolour

    @classmethod
    def symbolic(cls) -> SceneSampler:
        """Return a sampler with one cut-out per concept and colour, for scenes that are never drawn."""
        return cls([CutoutInfo(index=-1, name=n, colour=c, aspect=1.0) for n in CONCEPTS for c in (*COLOURS, None)])

    def scene(self, rng: random.Random, weights: Sequence[float] = (1, 1, 1, 1)) -> Scene:
        """Draw a scene of 1, 2, ... objects, drawn with `weights`; half of those with several repeat a concept."""
        n = rng.choices(range(1, len(weights) + 1), weights)[0]
        names = rng.sample(self.names, n)
        if n > 1 and rng.random() < 0.5:
            again = rng.randint(2, n)
            names[:again] = [names[0]] * again
            if rng.random() < 0.35:  # two pairs, or a pair among strangers
                names[again:] = [rng.choice(names[again:]) for _ in names[again:]]
        rng.shuffle(names)
        boxes = self._boxes(rng, n)
        same_drawing: dict[str, CutoutInfo] = {}
        objects = []
        for name, (x, y, side) in zip(names, boxes, strict=True):
            c = rng.choice(self.by_name[name])
            if name in same_drawing and rng.random() < 0.5:
                c = same_drawing[name]
            same_drawing[name] = c
            objects.append(self._place(rng, c, x, y, side))
        real = self.backgrounds and rng.random() < 0.6
        background = rng.randrange(self.backgrounds) if real else -1 - rng.randrange(1 << 30)
        return Scene(
            objects=tuple(objects), background=background, jpeg=rng.randint(35, 95) if rng.random() < 0.4 else 0
        )

    def _place(self, rng: random.Random, c: CutoutInfo, x: float, y: float, side: float) -> Placed:
        w, h = (side, side / c.aspect) if c.aspect >= 1 else (side * c.aspect, side)
        hue, colour = 0.0, c.colour
        if self.recolour is not None and rng.random() < 0.25:
            hue = float(rng.randrange(360))
            colour = self.recolour(c.index, hue)
        return Placed(
            cutout=c.index,
            name=c.name,
            colour=colour,
            x=x,
            y=y,
            w=w,
            h=h,
            rotation=rng.uniform(-20, 20) if rng.random() < 0.5 else 0.0,
            hue=hue,
            flip=rng.random() < 0.4,
            blur=rng.uniform(0.3, 1.5) if rng.random() < 0.2 else 0.0,
        )

    @staticmethod
    def _boxes(rng: random.Random, n: int) -> list[tuple[float, float, float]]:
        """Draw centres and sides of n squares that overlap by at most a tenth of a side."""
        low, high = _SIZES[n]
        while True:
            boxes: list[tuple[float, float, float]] = []
            for _ in range(60):
                side = rng.uniform(low, high)
                x, y = rng.uniform(side / 2, 1 - side / 2), rng.uniform(side / 2, 1 - side / 2)
                if all(max(abs(x - a), abs(y - b)) > 0.9 * (side + s) / 2 for a, b, s in boxes):
                    boxes.append((x, y, side))
                    if len(boxes) == n:
                        return boxes
            high = max(low, high * 0.95)
