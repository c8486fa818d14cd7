"""Metrics of RefCOCO's boxes."""

from __future__ import annotations

import re
from collections.abc import Sequence

Box = tuple[float, float, float, float]  # left, top, right, bottom
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(rf"\[{','.join([_NUMBER] * 4)}\]")


def read_box(answer: str) -> Box:
    """Return the first "[left, top, right, bottom]" of an answer; zeros if there is none."""
    found = _BOX.search(answer)
    if found is None:
        return (0.0, 0.0, 0.0, 0.0)
    left, top, right, bottom = map(float, found.groups())
    return (left, top, right, bottom)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection of two boxes over their union; 0 if neither has an area."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union else 0.0


def box_scores(answer: str, truth: Sequence[float]) -> dict[str, float]:
    """Return IoU, whether it reaches each threshold, and whether the centre lies in the right box."""
    box = read_box(answer)
    iou = overlap(truth, box)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    inside = truth[0] <= x <= truth[2] and truth[1] <= y <= truth[3]
    return {"iou": iou, **{f"acc@{t}": float(iou >= t) for t in THRESHOLDS}, "centre": float(inside)}
