"""The one picture of the commands that take no more."""

from __future__ import annotations

from PIL import Image

from lavida.errors import RequestError
from lavida.image.load import expand_input, open_image


def open_one(image: str) -> Image.Image:
    """A file, or - for standard input. Raises ImageError, RequestError if it stands for several."""
    found = list(expand_input(image))
    if len(found) != 1:
        raise RequestError(f"{image} holds {len(found)} pictures; name one")
    return open_image(found[0].source, name=found[0].name, any_shape=True)
