"""Extract an object from an image: an answer held to a JSON Schema, with a confidence for each field.

found = model.extract("receipt.jpg", {"type": "object", "properties": {"total": {"type": "number"}}, ...})
found.value["total"], found.confidence["/total"]
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavida.constrain.language import read_schema
from lavida.decode.loop import Step
from lavida.decode.request import Request
from lavida.errors import RequestError
from lavida.text.forms import form_question
from lavida.text.spelling import spell
from lavida.text.tokenizer import Vocabulary

__all__ = ["Extraction", "as_schema", "extract", "extraction_of", "field_confidence", "form_question", "leaves"]

_STRINGS = json.JSONDecoder(strict=False)


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """Hold the object that was read off an image."""

    value: Any  # an object that fits the schema; of a pydantic model, an instance of it
    confidence: dict[str, float]  # of each value that is no list or object, by JSON pointer ("/items/0/price")
    text: str  # the answer as it was written
    steps: int  # forward passes of the denoiser
    seconds: float


def as_schema(schema: Any) -> dict[str, Any]:
    """Return a JSON Schema from a mapping, a file or a pydantic model. Raises RequestError if it is none of these."""
    if isinstance(schema, Mapping):
        return dict(schema)
    if hasattr(schema, "model_json_schema"):
        return schema.model_json_schema()
    if not isinstance(schema, (str, Path)):
        raise RequestError(f"a schema is a mapping, a file or a pydantic model, not {type(schema).__name__}")
    found = read_schema(schema)
    if not isinstance(found, dict):
        raise RequestError(f"the schema {schema} is no JSON object; it must say which fields are wanted")
    return found


def extract(request: Request, schema: Any) -> Extraction:
    """Answer a request that is held to a schema, and read the object off the answer.

    The confidence of a field is the product of the probabilities that its tokens had when they were written, among
    those that the schema allowed there: 1 where it left no choice.

    Args:
        request: Its options hold the answer to `schema`.
        schema: A mapping, a file or a pydantic model.

    Raises:
        RequestError: The answer does not pass a validator that the schema does not tell of.
    """
    start = time.perf_counter()
    request.run()
    seconds = time.perf_counter() - start
    return extraction_of(request, schema, seconds)


def extraction_of(request: Request, schema: Any, seconds: float) -> Extraction:
    """Read the object off a request that is answered; arguments and errors as in `extract`."""
    step = request.last
    text = request.text(step)
    ends, vocabulary = request.reader.net.config.denoiser.eos_ids, request.reader.tokenizer
    assert vocabulary is not None
    return Extraction(
        value=_validated(json.loads(text), schema),
        confidence=field_confidence(*_spelled(step, ends, vocabulary)),
        text=text,
        steps=step.forwards,
        seconds=seconds,
    )


def _validated(value: Any, schema: Any) -> Any:
    if not hasattr(schema, "model_validate"):
        return value
    try:
        return schema.model_validate(value)
    except ValueError as error:  # a validator of its own, of which the schema says nothing
        reason = " ".join(str(error).split())
        raise RequestError(f"the answer fits the schema but not {schema.__name__} ({reason}); loosen it") from None


def _spelled(step: Step, ends: Sequence[int], vocabulary: Vocabulary) -> tuple[list[bytes], list[float]]:
    """Return the bytes of each token of the answer, and its confidence."""
    ids = step.canvas.tolist()
    length = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    spelling = spell(vocabulary)
    return [spelling.bytes_of(token) for token in ids[:length]], step.confidence[:length].tolist()


def field_confidence(pieces: Sequence[bytes], sure: Sequence[float]) -> dict[str, float]:
    """Return the product of `sure` over the pieces of each field of the JSON text that the pieces spell."""
    ends: list[int] = []
    for piece in pieces:
        ends.append(len(piece) + (ends[-1] if ends else 0))
    starts = [0, *ends[:-1]]
    found = {}
    for pointer, first, last in leaves(b"".join(pieces)):
        within = [p for p, start, end in zip(sure, starts, ends) if start < last and end > first]
        found[pointer] = math.prod(within)
    return found


def leaves(data: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield (JSON pointer, from, to) of every value in a JSON text that is no list or object, in bytes."""
    text = data.decode("latin-1")  # one character a byte: what tells values apart is ASCII
    yield from _leaves(text, _blank(text, 0), "")


def _leaves(text: str, at: int, pointer: str) -> Generator[tuple[str, int, int], None, int]:
    """Yield the leaves of the value that begins at `at`; return where it ends."""
    if text[at] not in "{[":
        end = _STRINGS.raw_decode(text, at)[1]
        yield pointer, at, end
        return end
    closing, number = "}" if text[at] == "{" else "]", 0
    at = _blank(text, at + 1)
    while text[at] != closing:
        name = str(number)
        if closing == "}":
            end = _STRINGS.raw_decode(text, at)[1]
            name = json.loads(text[at:end].encode("latin-1")).replace("~", "~0").replace("/", "~1")
            at = _blank(text, _blank(text, end) + 1)  # past the colon
        at = _blank(text, (yield from _leaves(text, at, f"{pointer}/{name}")))
        at = _blank(text, at + 1) if text[at] == "," else at
        number += 1
    return at + 1


def _blank(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\n", "\t", "\r") and at < len(text):
        at += 1
    return at
