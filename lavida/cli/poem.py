"""`lavida poem photo.jpg --start A --start Be --syllables 5,7,5`: lines with given beginnings and lengths."""

from __future__ import annotations

import json as json_text
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavida.cli import options as o
from lavida.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="Files, folders, patterns, or - for standard input.")
]
Start = Annotated[
    list[str] | None, typer.Option(help="Letters that a line begins with; once for each line, or once for all.")
]
Acrostic = Annotated[str | None, typer.Option(help="A word whose letters the lines begin with.")]
Syllables = Annotated[
    str | None, typer.Option(help="Of each line, such as 5,7,5, or one number for all. Takes lavida[poem].")
]
WordCount = Annotated[str | None, typer.Option("--words", help="Least and most of a line. Default: 4-8.")]
TokenCount = Annotated[
    str | None, typer.Option("--tokens", help="Least and most of a line, any text; needs no dictionary.")
]
Lines = Annotated[int | None, typer.Option(help="How many. Default: as many as are described, or one.")]
Question = Annotated[str | None, typer.Option(help="What is asked. Default: to describe the picture.")]


def poem(
    images: Images,
    start: Start = None,
    acrostic: Acrostic = None,
    syllables: Syllables = None,
    words: WordCount = None,
    tokens: TokenCount = None,
    lines: Lines = None,
    question: Question = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Write a poem about each picture; every line keeps to the form that is asked for."""
    from lavida import api
    from lavida.cli.picture import each
    from lavida.constrain.template import poem as template_of
    from lavida.image.load import expand_inputs

    form = template_of(
        start or (),
        acrostic=acrostic,
        syllables=None if syllables is None else numbers(syllables, ","),
        words=None if words is None else bounds(words),
        tokens=None if tokens is None else bounds(tokens),
        lines=lines,
    )
    found = list(expand_inputs(images))
    loaded = o.load_model(options)
    decode = o.decode_arguments(options)

    def report(picture: Image.Image, name: str) -> None:
        answer = loaded.ask(picture, question or api.DESCRIBE, template=form, **decode)
        written = [line.strip() for line in answer.text.split("\n")]
        facts = {"image": name, "lines": written, "steps": answer.steps, "seconds": answer.seconds}
        print(json_text.dumps(facts, ensure_ascii=False) if json else "\n".join(written))

    return each(found, loaded, report)


def numbers(text: str, between: str) -> list[int]:
    """Whole numbers in a text such as 5,7,5. Raises RequestError."""
    try:
        return [int(part) for part in text.split(between)]
    except ValueError:
        raise RequestError(f"{text!r} is no list of whole numbers; write them like 5{between}7") from None


def bounds(text: str) -> tuple[int, int]:
    """Least and most, such as 4-8, or one number for both. Raises RequestError."""
    found = numbers(text, "-")
    if len(found) > 2:
        raise RequestError(f"{text!r} are no bounds; write the least and the most like 4-8")
    return found[0], found[-1]


app = o.application(poem, o.decoding(), o.CALIBRATED, o.LOADING)
