"""`lavida fill photo.jpg "a photo of [M], a kind of [M:1]."`: holes in a text, filled."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavida.cli import options as o
from lavida.errors import RequestError

if TYPE_CHECKING:
    from lavida.edit.infill import Infill

Words = Annotated[
    list[str],
    typer.Argument(
        metavar='IMAGE "TEXT"',
        help="One picture (- for standard input) and the text; no picture for a model that reads text only. [M:4] is a "
        "hole of four tokens, [M:2-5] of two to five, [M] of one or more.",
    ),
]
Question = Annotated[str | None, typer.Option(help="What the text answers. Default: a request to describe.")]
How = Annotated[str, typer.Option(help="search compares lengths; fim asks a model that was taught [S] and [FIM].")]
Most = Annotated[int, typer.Option(help="Tokens that a hole [M] may take.")]
Alternatives = Annotated[int, typer.Option(help="Other fillings of each hole to name.")]
Length = Annotated[int, typer.Option(help="Tokens of the canvas, at least; a longer text takes a longer one.")]


def fill(
    words: Words,
    question: Question = None,
    how: How = "search",
    most: Most = 6,
    alternatives: Alternatives = 3,
    length: Length = 16,
    cache: o.Cache = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    **options: Any,
) -> int:
    """Fill the holes of a text with what fits the picture and both sides of them; each with its alternatives."""
    from lavida import api
    from lavida.checkpoint.inventory import read_config, survey
    from lavida.checkpoint.named import find_model
    from lavida.cli.picture import open_one

    sees = read_config(survey(find_model(options["model"]))).vision is not None
    image, text = split(words, sees=sees)
    picture = None if image is None else open_one(image)
    loaded = o.load_model(options)
    given = {name: value for name, value in o.decode_arguments(options).items() if value is not None}
    found = loaded.infill(
        picture, text, question=question or api.DESCRIBE, cache=cache, how=how, most=most, alternatives=alternatives,
        length=length, **given,
    )  # fmt: skip
    facts = {"image": image or "", "template": text, **asdict(found)}
    print(json_text.dumps(facts, ensure_ascii=False) if json else as_text(found))
    return 0


def split(words: list[str], *, sees: bool) -> tuple[str | None, str]:
    """(picture, text). Raises RequestError if one is missing or too much."""
    if len(words) == 1 + sees:
        return words[0] if sees else None, words[-1]
    if not sees and Path(words[0]).is_file():
        raise RequestError(f"the model reads text only; leave {words[0]} out, or load one with a vision tower")
    raise RequestError(f'give one text{" behind one picture" * sees}; say lavida fill {"photo.jpg " * sees}"a [M]."')


def as_text(found: Infill) -> str:
    """Return the text, and a line for each hole: its filling, the probability, and alternatives."""
    lines = [found.text]
    for number, hole in enumerate(found.holes, start=1):
        others = "".join(f", {one.text or 'nothing'} {one.probability:.3f}" for one in hole.alternatives)
        lines.append(f"  {number}. {hole.text or 'nothing'} {hole.probability:.3f}{others}")
    return "\n".join(lines)


DECODING = {
    name: o.decoding()[name] for name in ("steps", "schedule", "shift", "remasking", "threshold", "temperature", "seed")
}
app = o.application(fill, DECODING, o.LOADING)
