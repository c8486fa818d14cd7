"""`lavida fill photo.jpg "a photo of [M], a kind of [M:1]."`: holes in a text, filled."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from lavida.cli import options as o
from lavida.errors import RequestError

Words = Annotated[
    list[str],
    o.argument(
        'IMAGE "TEXT"',
        "One picture (- for standard input) and the text; no picture for a model that reads text only. [M:4] is a "
        "hole of four tokens, [M:2-5] of two to five, [M] of one or more.",
    ),
]
How = Annotated[str, o.option("search compares lengths; fim asks a model that was taught [S] and [FIM].")]
DECODING = ("steps", "schedule", "shift", "remasking", "threshold", "temperature", "seed")


def fill(
    words: Words,
    question: o.Question = None,
    how: How = "search",
    most: Annotated[int, o.option("Tokens that a hole [M] may take.")] = 6,
    alternatives: Annotated[int, o.option("Other fillings of each hole to name.")] = 3,
    length: Annotated[int, o.option("Tokens of the canvas, at least; a longer text takes a longer one.")] = 16,
    cache: o.Cache = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Fill the holes of a text with what fits the picture and both sides of them; each with its alternatives."""
    from lavida import api
    from lavida.cli.output import print_facts
    from lavida.cli.picture import open_one, split_picture

    image, rest = split_picture(words, options["model"])
    if len(rest) != 1:
        one, usage = ("one text behind one picture", "photo.jpg ") if image is not None else ("one text", "")
        raise RequestError(f'give {one}; say lavida fill {usage}"a [M]."')
    picture = None if image is None else open_one(image)
    given = {name: value for name, value in o.decode_arguments(options).items() if value is not None}
    found = o.load_model(options).infill(
        picture, rest[0], question=question or api.DESCRIBE, cache=cache, how=how, most=most,
        alternatives=alternatives, length=length, **given,
    )  # fmt: skip
    lines = [found.text]
    for number, hole in enumerate(found.holes, start=1):
        others = "".join(f", {other.text or 'nothing'} {other.probability:.3f}" for other in hole.alternatives)
        lines.append(f"  {number}. {hole.text or 'nothing'} {hole.probability:.3f}{others}")
    print_facts({"image": image or "", "template": rest[0], **asdict(found)}, "\n".join(lines), as_json=json)
    return 0


app = o.application(fill, {name: o.decoding()[name] for name in DECODING}, o.LOADING)
