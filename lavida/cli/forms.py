"""`lavida extract` and `lavida poem`: answers of a given form.

lavida extract receipt.jpg --schema receipt.json                  # a validated object, a confidence for each field
lavida poem photo.jpg --start A --start Be --syllables 5,7,5      # lines with given beginnings and lengths
"""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.cli.picture import answer_each
from lavida.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

    from lavida.api import Model


@o.command(o.decoding(), o.CALIBRATED, o.LOADING)
def extract(
    images: o.Pictures,
    schema: Annotated[Path, o.option("JSON Schema of the object that is wanted.")],
    question: Annotated[str | None, o.option("Asked instead of the schema's title and fields.")] = None,
    json: o.JsonLines = False,
    **options: Any,
) -> int:
    """Read an object off each picture. Each field is printed with how sure the model was of it."""
    from lavida.edit.extract import as_schema

    wanted = as_schema(schema)

    def answer(model: Model, picture: Image.Image, **decode: Any) -> tuple[dict[str, Any], str]:
        found = model.extract(picture, wanted, question=question, **decode)
        confidence = {name: round(p, 4) for name, p in found.confidence.items()}
        facts = {"value": found.value, "confidence": confidence, "steps": found.steps, "seconds": found.seconds}
        lines = (f"{p:8.3f}  {name or '/'}" for name, p in confidence.items())
        return facts, "\n".join([json_text.dumps(found.value, ensure_ascii=False), *lines])

    return answer_each(images, answer, options, json=json, named=True)


Start = Annotated[list[str] | None, o.option("Letters that a line begins with; once for each line, or once for all.")]
Syllables = Annotated[str | None, o.option("Of each line, such as 5,7,5, or one number for all. Takes lavida[poem].")]


@o.command(o.decoding(), o.CALIBRATED, o.LOADING)
def poem(
    images: o.Pictures,
    start: Start = None,
    acrostic: Annotated[str | None, o.option("A word whose letters the lines begin with.")] = None,
    syllables: Syllables = None,
    words: Annotated[str | None, o.option("Least and most of a line. Default: 4-8.")] = None,
    tokens: Annotated[str | None, o.option("Least and most of a line, any text; needs no dictionary.")] = None,
    lines: Annotated[int | None, o.option("How many. Default: as many as are described, or one.")] = None,
    question: Annotated[str | None, o.option("What is asked. Default: to describe the picture.")] = None,
    json: o.JsonLines = False,
    **options: Any,
) -> int:
    """Write a poem about each picture; every line keeps to the form that is asked for."""
    from lavida import api
    from lavida.constrain.template import poem as template_of

    form = template_of(
        start or (),
        acrostic=acrostic,
        syllables=None if syllables is None else numbers(syllables, ","),
        words=None if words is None else bounds(words),
        tokens=None if tokens is None else bounds(tokens),
        lines=lines,
    )

    def answer(model: Model, picture: Image.Image, **decode: Any) -> tuple[dict[str, Any], str]:
        found = model.ask(picture, question or api.DESCRIBE, **{**decode, "template": form})
        written = [line.strip() for line in found.text.split("\n")]
        return {"lines": written, "steps": found.steps, "seconds": found.seconds}, "\n".join(written)

    return answer_each(images, answer, options, json=json)


def numbers(text: str, between: str) -> list[int]:
    """Return the whole numbers in a text such as 5,7,5. Raises RequestError."""
    try:
        return [int(part) for part in text.split(between)]
    except ValueError:
        raise RequestError(f"{text!r} is no list of whole numbers; write them like 5{between}7") from None


def bounds(text: str) -> tuple[int, int]:
    """Return least and most, such as 4-8, or one number for both. Raises RequestError."""
    found = numbers(text, "-")
    if len(found) > 2:
        raise RequestError(f"{text!r} are no bounds; write the least and the most like 4-8")
    return found[0], found[-1]
