"""`lavida revise photo.jpg "a dog on a mat."`: the words that the picture makes unlikely, written anew."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o

if TYPE_CHECKING:
    from rich.text import Text

    from lavida.edit.revise import Revision

Doubt = Annotated[float, o.option("Mask a word if another one is e^DOUBT times likelier at its place.")]


def revise(
    image: o.Picture,
    text: o.Text,
    question: o.Question = None,
    doubt: Doubt = 2.0,
    changes: Annotated[int, o.option("Rewrite so many words at most.")] = 8,
    cache: o.Cache = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Rewrite what the picture makes unlikely in a text and show the difference; a likely text stays as it is."""
    from rich.console import Console

    from lavida import api
    from lavida.cli.output import print_facts
    from lavida.cli.picture import open_one

    picture, asked = open_one(image), question or api.DESCRIBE
    found = o.load_model(options).revise(picture, text, question=asked, cache=cache, doubt=doubt, changes=changes)
    console = Console(highlight=False)
    if not json:
        console.print(difference(found, marks=not console.is_terminal), soft_wrap=True)
    print_facts({"image": image, **asdict(found)}, found.new, as_json=json)
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
