"""A picture while it is drawn: every step, and at some of them the picture so far.

To show a picture takes a pass of the image tokenizer, which on a small model costs more than a step. So pictures are
few, evenly placed, and left out where they would take more than a share of the time.
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

    The last step has none: `DrawRequest.drawing` is its picture.
    """
    start, showing, last = time.perf_counter(), 0.0, 0.0
    places = evenly(most, request.options.steps)
    for sketch in request.sketches():
        image, elapsed = None, time.perf_counter() - start
        if places and sketch.masked and sketch.step.index >= places[0] and showing + last <= SHARE * elapsed:
            image = sketch.image()
            last = time.perf_counter() - start - elapsed
            showing += last
            places = [place for place in places if place > sketch.step.index]
        yield Draft(sketch=sketch, image=image, seconds=time.perf_counter() - start, showing=showing)


def evenly(count: int, steps: int) -> list[int]:
    """Return the indices of `count` steps that divide the steps evenly, without the last; fewer if there are fewer."""
    count = min(count, steps - 1)
    return [(k + 1) * steps // (count + 1) - 1 for k in range(count)]
