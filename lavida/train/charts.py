"""Draw line charts as SVG text: stages as bands behind the curves, values as tooltips; no script and no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 880, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 856, 24, 266  # edges of the plot, with room for the labels of the axes
HUES = (255, 30, 150, 310, 75, 200)  # of curves that are distinguished by name
SPAN = 1000  # of a logarithmic axis; smaller values, and zero, lie on its lower edge
FEW = 12  # points of a curve that are marked
Point = tuple[float, float]
Band = tuple[str, float, float]  # a name and the stretch of the x axis that it covers


class Curve(NamedTuple):
    """Hold points in the order of x."""

    label: str
    points: Sequence[Point]
    hue: float = HUES[0]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Map values from `low` to `high` to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values within the range: 1, 2 or 5 times a power of ten."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            return [m * 10.0**p for p in powers for m in (1, 2, 5) if self.low <= m * 10.0**p <= self.high]
        rough = (self.high - self.low) / 6
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
        return [i * step for i in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most `most` points: means over equal stretches of x, empty ones left out."""
    if len(points) <= most:
        return list(points)
    low, high = points[0][0], points[-1][0]
    held: list[list[Point]] = [[] for _ in range(most)]
    for x, y in points:
        held[min(int((x - low) / (high - low) * most), most - 1)].append((x, y))
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in held if part]


def number(value: float) -> str:
    """Return a number with three significant digits and separated thousands."""
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{float(f'{value:.3g}')}"


def chart(
    title: str, curves: Sequence[Curve], *, bands: Sequence[Band] = (), across: str = "step", from_zero: bool = False
) -> str:
    """Return a figure with its legend, as HTML; empty if no curve has a point.

    The axis is logarithmic for values that are not negative and span more than tenfold, unless `from_zero`.
    """
    curves = [c for c in curves if c.points]
    if not curves:
        return ""
    x, y = _axes(curves, bands, from_zero)
    body = [_band(label, x(start), x(end), "gap" if i % 2 else "band") for i, (label, start, end) in enumerate(bands)]
    for at, label in ((y(value), number(value)) for value in y.ticks()):
        body.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
        body.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    body += [
        f'<text x="{x(value):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{number(value)}</text>' for value in x.ticks()
    ]
    body.append(f'<text x="{RIGHT}" y="{HEIGHT - 3}" text-anchor="end" class="name">{escape(across)}</text>')
    body += [_line(curve, x, y, across) for curve in curves]
    legend = "".join(f'<span><i style="background:{_colour(c)}"></i>{escape(c.label)}</span>' for c in curves)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(body)}</svg>'
        f"{f'<p class=legend>{legend}</p>' if len(curves) > 1 else ''}</figure>"
    )


def _axes(curves: Sequence[Curve], bands: Sequence[Band], from_zero: bool) -> tuple[Axis, Axis]:
    xs = [x for c in curves for x, _ in c.points] + [edge for _, *edges in bands for edge in edges]
    ys = [y for c in curves for _, y in c.points]
    low, high = min(ys), max(ys)
    least = max(min((y for y in ys if y > 0), default=0.0), high / SPAN)
    log = not from_zero and low >= 0 and high > 10 * least
    if log:
        low, high = least / 1.1, high * 1.1
    else:
        room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        low, high = (min(0.0, low) if from_zero else low - room), high + room
    single = min(xs) == max(xs)
    across = Axis(low=min(xs) - single, high=max(xs) + single, start=LEFT, end=RIGHT)
    return across, Axis(low=low, high=high, start=BOTTOM, end=TOP, log=log)


def _band(label: str, left: float, right: float, shade: str) -> str:
    place = f'x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{BOTTOM - TOP}"'
    name = f'<text x="{left + 4:.1f}" y="{TOP - 7}" class="name">{escape(label)}</text>'
    shown = name if right - left > 7 * len(label) else ""
    return f'<rect {place} class="{shade}"><title>{escape(label)}</title></rect>{shown}'


def _line(curve: Curve, x: Axis, y: Axis, across: str) -> str:
    """Return a curve and the places of its tooltips; those of a short one are visible: one point makes no line."""
    points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in curve.points)
    kind, radius = (' class="few"', 3) if len(curve.points) <= FEW else ("", 5)
    dots = "".join(
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="{radius}">'
        f"<title>{escape(curve.label)}, {across} {number(a)}: {number(b)}</title></circle>"
        for a, b in curve.points
    )
    colour = _colour(curve)
    return f'<polyline points="{points}" style="stroke:{colour}"/><g{kind} style="fill:{colour}">{dots}</g>'


def _colour(curve: Curve) -> str:
    return f"oklch(0.64 0.15 {curve.hue:g})"  # of one lightness, to be seen on white and on black
