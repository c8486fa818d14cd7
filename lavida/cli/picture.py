"""Pictures of the commands that have their own way to answer: one, or one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from lavida.cli.main import complain
from lavida.cli.options import decode_arguments, load_model
from lavida.cli.output import print_facts
from lavida.errors import LavidaError, RequestError
from lavida.image.load import expand_input, expand_inputs, open_image

if TYPE_CHECKING:
    from lavida.config import VLMConfig


def open_one(image: str) -> Image.Image:
    """Open a file, or - for standard input. Raises ImageError, and RequestError if it stands for several."""
    found = list(expand_input(image))
    if len(found) != 1:
        raise RequestError(f"{image} holds {len(found)} pictures; name one")
    return open_image(found[0].source, name=found[0].name, any_shape=True)


def has_vision(model: str) -> bool:
    """Report whether a model reads pictures, without loading it."""
    return _config(model).reads_pictures


def waits_for_picture(model: str) -> bool:
    """Report whether a question without a picture is about the one on standard input."""
    return _config(model).vision is not None  # MMaDA, whose pictures are codes, is asked about words alone as often


def require_drawing(model: str) -> None:
    """Raise RequestError for a model that draws no pictures, without loading it."""
    if _config(model).codes is None:
        raise RequestError(f"{model} writes text only; load a model whose pictures are codes, such as MMaDA")


def _config(model: str) -> VLMConfig:
    from lavida.checkpoint.inventory import read_config, survey
    from lavida.checkpoint.named import find_model

    return read_config(survey(find_model(model)))


def split_picture(words: list[str], model: str) -> tuple[str | None, list[str]]:
    """Return the picture before other arguments, None for a model that reads text only. Raises RequestError."""
    if has_vision(model):
        return words[0], words[1:]
    if os.path.isfile(words[0]):
        raise RequestError(f"the model reads text only; leave {words[0]} out, or load one with a vision tower")
    return None, words


def answer_each(
    images: Sequence[str],
    answer: Callable[..., tuple[dict[str, Any], str]],
    options: Mapping[str, Any],
    *,
    json: bool,
    named: bool = False,
) -> int:
    """Print an answer about each picture; one that fails does not stop the others.

    Args:
        images: Files, folders, patterns.
        answer: Called with the model, a picture and options of decoding; returns facts for JSON, and a text.
        options: Those of loading and decoding.
        json: Print the facts instead of the text.
        named: Begin the texts with the names of the pictures, if there are several.
    """
    from lavida.decode.request import open_picture

    found, code = list(expand_inputs(images)), 0
    model = load_model(options)
    for entry in found:
        try:
            opened = open_image(entry.source, name=entry.name, any_shape=True)
            picture = open_picture(model.net.config, opened, name=entry.name)
            facts, text = answer(model, picture, **decode_arguments(options))
            head = f"{entry.name}: " if named and len(found) > 1 else ""
            print_facts({"image": entry.name, **facts}, head + text, as_json=json)
        except LavidaError as error:
            code = complain(error)
    return code
