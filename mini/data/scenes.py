"""A scene is a list of cut-outs with their places: `render.py` draws it, `questions.py` asks about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Place one cut-out in a scene; x, y is the centre and w, h the size of its box, in fractions of the scene."""

    cutout: int
    name: str
    colour: str | None
    x: float
    y: float
    w: float
    h: float
    rotation: float = 0.0  # degrees, counter-clockwise
    hue: float = 0.0  # turn of the hue, degrees
    flip: bool = False
    blur: float = 0.0  # Gaussian sigma, pixels

    def covers(self, x: float, y: float) -> bool:
        """Report whether the box covers a point."""
        return abs(x - self.x) <= self.w / 2 and abs(y - self.y) <= self.h / 2


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Describe one picture of 448 x 448 pixels, drawn in the order of `objects`."""

    objects: tuple[Placed, ...]
    background: int  # index into the atlas, or -1 - k for the procedural background with seed k
    jpeg: int = 0  # quality of a JPEG round trip, 0 = none

    @property
    def counts(self) -> dict[str, int]:
        """Count each name, in reading order (leftmost first)."""
        counts: dict[str, int] = {}
        for o in sorted(self.objects, key=lambda o: o.x):
            counts[o.name] = counts.get(o.name, 0) + 1
        return counts
