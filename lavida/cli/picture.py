"""Pictures of the commands that have their own way to answer: one, or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from lavida.cli.main import complain
from lavida.errors import LavidaError, RequestError
from lavida.image.load import Input, expand_input, open_image

if TYPE_CHECKING:
    from lavida.api import Model


def open_one(image: str) -> Image.Image:
    """Open a file, or - for standard input. Raises ImageError, and RequestError if it stands for several."""
    found = list(expand_input(image))
    if len(found) != 1:
        raise RequestError(f"{image} holds {len(found)} pictures; name one")
    return open_image(found[0].source, name=found[0].name, any_shape=True)


def each(found: Sequence[Input], model: Model, report: Callable[[Image.Image, str], None]) -> int:
    """Open each picture and `report` on it by its name; one that fails does not stop the others.

    Returns the exit code.
    """
    from lavida.decode.request import open_picture

    code = 0
    for entry in found:
        try:
            opened = open_image(entry.source, name=entry.name, any_shape=True)
            report(open_picture(model.net.config, opened, name=entry.name), entry.name)
        except LavidaError as error:
            code = complain(error)
    return code
