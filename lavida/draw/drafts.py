"""A picture while it is drawn: every step, and at some of them the picture so far.

To show a picture takes a pass of the image tokenizer, which on a small model costs more than a step. So pictures are
few, each with as many new codes as the others, and left out where they would take more than a share of the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from lavida.draw.request import DrawRequest, Sketch

SHARE = 0.2  # of the time of drawing that pictures before the last may take


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Hold a step of a picture."""

    sketch: Sketch
    image: Image.Image | None  # the picture so far, at some steps
    seconds: float  # since the request was checked
    showing: float  # of these, for pictures so far


def drafts(request: DrawRequest, most: int) -> Iterator[Draft]:
    """Yield every step of the first picture of a request, making the forward passes; `most` of them with a picture.

    What the first picture costs is not known before it is shown: it always is. The last step has none, since
    `DrawRequest.drawing` is its picture.
    """
    start, showing, last = time.perf_counter(), 0.0, 0.0
    total, shown = 0, 0
    for sketch in request.sketches():
        image, elapsed = None, time.perf_counter() - start
        total = total or sketch.masked + len(sketch.step.committed)
        part = (total - sketch.masked) * (most + 1) // total  # of the most + 1 equal parts, how many are written
        if part > shown and sketch.masked and showing + last <= SHARE * elapsed:
            image, shown = sketch.image(), part
            last = time.perf_counter() - start - elapsed
            showing += last
        yield Draft(sketch=sketch, image=image, seconds=time.perf_counter() - start, showing=showing)
