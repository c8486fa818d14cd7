"""Describe what is known about a picture, so that questions about it can be written with their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Box = tuple[float, float, float, float]
Brightness = Literal["dark", "normal", "bright"]


@dataclass(frozen=True)
class Thing:
    """Represent one thing in a picture.

    Args:
        name: Key of the name table (`mini.natural.names.NAMES`), an English singular such as "traffic light".
        colour: Main colour as a key of `mini.natural.names.COLOURS`; None where it is not known or has no single name.
        box: Left, top, right and bottom edge as fractions of the picture's width and height.
        doing: English present participle phrase, a key of `mini.natural.names.ACTIONS`; None where it is not known.
    """

    name: str
    colour: str | None
    box: Box
    doing: str | None = None

    @property
    def centre(self) -> tuple[float, float]:
        """Return the centre of the box as (x, y)."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def area(self) -> float:
        """Return the area of the box as a fraction of the picture."""
        x0, y0, x1, y1 = self.box
        return max(0.0, x1 - x0) * max(0.0, y1 - y0)


@dataclass(frozen=True)
class Truth:
    """Hold everything about one picture that questions may be asked about.

    Args:
        things: The things in the picture, in any order; two of one name are two things.
        main: The main thing, as an index of `things`; None if the picture has no main thing.
        monochrome: The picture is black and white (or of a single tint).
        brightness: Brightness of the picture as a whole.
        indoors: Taken indoors; None where it is not known or has no meaning (drawn scenes).
        night: Taken at night; None where it is not known.
        ground: Main colour of the background; None where it is not known.
        texts: Read texts with their boxes, in reading order.
        complete: Absence that is certain: True if `things` lists everything in the picture, otherwise the set of names
            (of things or of kinds) of which the picture holds no more than `things` lists. Questions about absence
            and numbers are written only about these.
    """

    things: tuple[Thing, ...]
    main: int | None = None
    monochrome: bool = False
    brightness: Brightness = "normal"
    indoors: bool | None = None
    night: bool | None = None
    ground: str | None = None
    texts: tuple[tuple[str, Box], ...] = ()
    complete: bool | frozenset[str] = True

    def __post_init__(self) -> None:
        """Check that `main` is an index of `things`."""
        if self.main is not None and not 0 <= self.main < len(self.things):
            raise ValueError(f"main is {self.main}, but there are {len(self.things)} things")

    @property
    def main_thing(self) -> Thing | None:
        """Return the main thing, or None."""
        return None if self.main is None else self.things[self.main]

    def named(self, names: Sequence[str] | frozenset[str]) -> tuple[Thing, ...]:
        """Return the things that have one of these names."""
        return tuple(thing for thing in self.things if thing.name in names)

    def is_complete(self, name: str) -> bool:
        """Return True if every thing of this name (or kind) in the picture is listed."""
        return self.complete is True or (self.complete is not False and name in self.complete)
