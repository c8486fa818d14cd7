"""Draw line charts as SVG text: stages as bands behind the curves, values as tooltips; no script and no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 880, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 836, 24, 266  # edges of the plot, with room for the labels of the axes
HUES = (255, 30, 150, 310, 75, 200)  # of curves that are distinguished by name
SPAN = 1000  # of a logarithmic axis; smaller values, and zero, lie on its lower edge
FEW = 12  # points of a curve that are marked
TICKS = 4  # labelled stretches of an axis
Point = tuple[float, float]
Band = tuple[str, float, float]  # a name and the stretch of the x axis that it covers


class Curve(NamedTuple):
    """Hold points in the order of x."""

    label: str
    points: Sequence[Point]
    hue: float = HUES[0]


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


def chart(title: str, curves: Sequence[Curve], *, bands: Sequence[Band] = (), from_zero: bool = False) -> str:
    """Return a figure with its legend, as HTML; empty if no curve has a point.

    The axis is logarithmic for values that are not negative and span more than tenfold, unless `from_zero`.
    """
    curves = [c for c in curves if c.points]
    if not curves:
        return ""
    xs = [x for c in curves for x, _ in c.points] + [edge for _, *edges in bands for edge in edges]
    ys = [y for c in curves for _, y in c.points]
    least = max(min((y for y in ys if y > 0), default=0.0), max(ys) / SPAN)
    log = not from_zero and min(ys) >= 0 and max(ys) > 10 * least
    scale, back = (math.log10, lambda y: 10**y) if log else (float, float)
    left, low = min(xs), scale(least) if log else min(ys) * (not from_zero or min(ys) < 0)
    right, high = max(xs) + (max(xs) == left), scale(max(ys)) + (not log and max(ys) == low)

    def across(x: float) -> float:
        return LEFT + (x - left) / (right - left) * (RIGHT - LEFT)

    def place(x: float, y: float) -> tuple[float, float]:
        return across(x), BOTTOM - (scale(max(y, least) if log else y) - low) / (high - low) * (BOTTOM - TOP)

    body = []
    for i, (name, start, end) in enumerate(bands):
        box = f'x="{across(start):.1f}" y="{TOP}" width="{across(end) - across(start):.1f}" height="{BOTTOM - TOP}"'
        body.append(f'<rect {box} class="{"gap" if i % 2 else "band"}"><title>{escape(name)}</title></rect>')
        if across(end) - across(start) > 7 * len(name):
            body.append(f'<text x="{across(start) + 4:.1f}" y="{TOP - 7}" class="name">{escape(name)}</text>')
    for share in (i / TICKS for i in range(TICKS + 1)):
        at, along = BOTTOM - share * (BOTTOM - TOP), LEFT + share * (RIGHT - LEFT)
        body.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}" class="grid"/>')
        label = number(back(low + share * (high - low)))
        body.append(f'<text x="{LEFT - 7}" y="{at + 4}" text-anchor="end">{label}</text>')
        step = number(round(left + share * (right - left)))
        body.append(f'<text x="{along}" y="{BOTTOM + 16}" text-anchor="middle">{step}</text>')
    body += [_line(curve, [place(*point) for point in curve.points]) for curve in curves]
    legend = "".join(f'<span><i style="background:{_colour(c)}"></i>{escape(c.label)}</span>' for c in curves)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(body)}</svg>'
        f"{f'<p class=legend>{legend}</p>' if len(curves) > 1 else ''}</figure>"
    )


def _line(curve: Curve, places: Sequence[Point]) -> str:
    """Return a curve and the places of its tooltips; those of a short one are visible: one point makes no line."""
    colour, (kind, radius) = _colour(curve), (' class="few"', 3) if len(places) <= FEW else ("", 5)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
        f"<title>{escape(curve.label)}, step {number(step)}: {number(value)}</title></circle>"
        for (x, y), (step, value) in zip(places, curve.points)
    )
    return f'<polyline points="{points}" style="stroke:{colour}"/><g{kind} style="fill:{colour}">{dots}</g>'


def _colour(curve: Curve) -> str:
    return f"oklch(0.64 0.15 {curve.hue:g})"  # of one lightness, to be seen on white and on black
