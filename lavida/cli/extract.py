"""`lavida extract receipt.jpg --schema receipt.json`: a validated object, with a confidence for each field."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o

if TYPE_CHECKING:
    from PIL import Image

    from lavida.api import Model


def extract(
    images: o.Pictures,
    schema: Annotated[Path, o.option("JSON Schema of the object that is wanted.")],
    question: Annotated[str | None, o.option("Asked instead of the schema's title and fields.")] = None,
    json: o.JsonLines = False,
    **options: Any,
) -> int:
    """Read an object off each picture. Each field is printed with how sure the model was of it."""
    from lavida.cli.picture import answer_each
    from lavida.edit.extract import as_schema

    wanted = as_schema(schema)

    def answer(model: Model, picture: Image.Image, **decode: Any) -> tuple[dict[str, Any], str]:
        found = model.extract(picture, wanted, question=question, **decode)
        confidence = {name: round(p, 4) for name, p in found.confidence.items()}
        facts = {"value": found.value, "confidence": confidence, "steps": found.steps, "seconds": found.seconds}
        lines = (f"{p:8.3f}  {name or '/'}" for name, p in confidence.items())
        return facts, "\n".join([json_text.dumps(found.value, ensure_ascii=False), *lines])

    return answer_each(images, answer, options, json=json, named=True)


app = o.application(extract, o.decoding(), o.CALIBRATED, o.LOADING)
