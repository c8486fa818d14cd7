"""`lavida revise photo.jpg "a dog on a mat."`: the words that the picture makes unlikely, written anew."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavida.cli import options as o

if TYPE_CHECKING:
    from rich.text import Text

    from lavida.edit.revise import Revision

Picture = Annotated[str, typer.Argument(metavar="IMAGE", help="One picture, - for standard input.")]
Words = Annotated[str, typer.Argument(metavar='"TEXT"', help="What is said about it.")]
Question = Annotated[str | None, typer.Option(help="What the text answers. Default: a request to describe.")]
Doubt = Annotated[float, typer.Option(help="Mask a word if another one is e^DOUBT times likelier at its place.")]
Changes = Annotated[int, typer.Option(help="Rewrite so many words at most.")]


def revise(
    image: Picture,
    text: Words,
    question: Question = None,
    doubt: Doubt = 2.0,
    changes: Changes = 8,
    cache: o.Cache = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    **options: Any,
) -> int:
    """Rewrite what the picture makes unlikely in a text and show the difference; a likely text stays as it is."""
    from rich.console import Console

    from lavida import api
    from lavida.cli.picture import open_one

    picture = open_one(image)
    loaded = o.load_model(options)
    found = loaded.revise(picture, text, question=question or api.DESCRIBE, cache=cache, doubt=doubt, changes=changes)
    console = Console(highlight=False)
    if json:
        print(json_text.dumps({"image": image, **asdict(found)}, ensure_ascii=False))
    else:
        console.print(difference(found, marks=not console.is_terminal), soft_wrap=True)
        print(found.new)
    return 0


def difference(found: Revision, *, marks: bool) -> Text:
    """Return the old text with removed and added words, in colour or between [-marks-] {+like these+}."""
    from rich.text import Text

    words, at, text = found.old.split(), 0, Text()
    for change in found.changes:
        text.append("".join(f"{word} " for word in words[at : change.start]))
        if change.old:
            text.append(f"[-{change.old}-]" if marks else change.old, style="red strike").append(" ")
        if change.new:
            text.append(f"{{+{change.new}+}}" if marks else change.new, style="bold green").append(" ")
        at = change.start + len(change.old.split())
    text.append(" ".join(words[at:]))
    text.rstrip()
    return text


app = o.application(revise, o.LOADING)
