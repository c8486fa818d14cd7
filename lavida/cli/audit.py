"""`lavida audit photo.jpg "a cat on a mat."`: what in a sentence the picture supports, as a heat map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o

if TYPE_CHECKING:
    from lavida.edit.audit import Audit, Token, Word


def audit(
    image: o.Picture,
    text: o.Text,
    question: o.Question = None,
    html: Annotated[Path | None, o.option("Write the heat map as an HTML page, too.")] = None,
    cache: o.Cache = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Show for each word how likely it is with the picture and without it; green: supported, red: contradicted."""
    from lavida import api
    from lavida.cli.heat import page, show
    from lavida.cli.output import print_facts, write_text
    from lavida.cli.picture import open_one
    from lavida.decode.request import open_picture

    picture, asked = open_one(image), question or api.DESCRIBE
    loaded = o.load_model(options)
    found = loaded.audit(picture, text, question=asked, cache=cache)
    if html is not None:
        write_text(html, page(found, picture=open_picture(loaded.net.config, picture), title=asked))
    if json:
        print_facts({"image": image, "question": asked, **as_facts(found)}, "", as_json=True)
    else:
        show(found)
    return 0


def as_facts(found: Audit) -> dict[str, Any]:
    """Return an audit as plain values."""
    words = []
    for word in found.words:
        tokens = [
            {**_figures(t.text, t), "likeliest": t.instead, "likeliest_log_likelihood": t.instead_seen}
            for t in word.tokens
        ]
        words.append({**_figures(word.text.strip(), word), "tokens": tokens})
    return {"text": found.text, "words": words}


def _figures(text: str, part: Word | Token) -> dict[str, Any]:
    return {"text": text, "log_likelihood": part.seen, "without_picture": part.blind, "support": part.support}


app = o.application(audit, o.LOADING)
