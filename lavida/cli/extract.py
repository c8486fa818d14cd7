"""`lavida extract receipt.jpg --schema receipt.json`: a validated object, with a confidence for each field."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavida.cli import options as o

if TYPE_CHECKING:
    from PIL import Image

    from lavida.edit.extract import Extraction

Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="Files, folders, patterns, or - for standard input.")
]
Schema = Annotated[Path, typer.Option(help="JSON Schema of the object that is wanted.")]
Question = Annotated[str | None, typer.Option(help="Asked instead of the schema's title and fields.")]


def extract(
    images: Images,
    schema: Schema,
    question: Question = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Read an object off each picture. Each field is printed with how sure the model was of it."""
    from lavida.cli.picture import each
    from lavida.edit.extract import as_schema
    from lavida.image.load import expand_inputs

    wanted = as_schema(schema)
    found = list(expand_inputs(images))
    loaded = o.load_model(options)
    decode = o.decode_arguments(options)

    def report(picture: Image.Image, name: str) -> None:
        facts = as_facts(loaded.extract(picture, wanted, question=question, **decode), name)
        print(json_text.dumps(facts, ensure_ascii=False) if json else as_text(facts, named=len(found) > 1))

    return each(found, loaded, report)


def as_facts(extraction: Extraction, image: str) -> dict[str, Any]:
    """Return an extraction as plain values."""
    return {
        "image": image,
        "value": extraction.value,
        "confidence": {name: round(p, 4) for name, p in extraction.confidence.items()},
        "steps": extraction.steps,
        "seconds": extraction.seconds,
    }


def as_text(facts: dict[str, Any], *, named: bool) -> str:
    """Return the object on a line, then a line for each field: its confidence and JSON pointer."""
    head = f"{facts['image']}: " if named else ""
    lines = [head + json_text.dumps(facts["value"], ensure_ascii=False)]
    return "\n".join([*lines, *(f"{p:8.3f}  {name or '/'}" for name, p in facts["confidence"].items())])


app = o.application(extract, o.decoding(), o.CALIBRATED, o.LOADING)
