"""`lavida audit photo.jpg "a cat on a mat."`: what in a sentence the picture supports, as a heat map."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavida.cli import options as o
from lavida.cli.revise import Picture, Question, Words
from lavida.errors import RequestError

if TYPE_CHECKING:
    from lavida.edit.audit import Audit

Html = Annotated[Path | None, typer.Option(help="Write the heat map as an HTML page, too.")]


def audit(
    image: Picture,
    text: Words,
    question: Question = None,
    html: Html = None,
    cache: o.Cache = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, every token in it.")] = False,
    **options: Any,
) -> int:
    """Show for each word how likely it is with the picture and without it; green: supported, red: contradicted."""
    from lavida import api
    from lavida.cli.heat import page, show
    from lavida.cli.picture import open_one
    from lavida.decode.request import open_picture

    picture = open_one(image)
    loaded = o.load_model(options)
    asked = question or api.DESCRIBE
    found = loaded.audit(picture, text, question=asked, cache=cache)
    if html is not None:
        try:
            shown = open_picture(loaded.net.config, picture)
            html.write_text(page(found, picture=shown, title=asked), encoding="utf-8")
        except OSError as error:
            raise RequestError(f"cannot write {html} ({error.strerror}); choose another place") from None
    if json:
        print(json_text.dumps({"image": image, "question": asked, **as_facts(found)}, ensure_ascii=False))
    else:
        show(found, file=sys.stdout)
    return 0


def as_facts(found: Audit) -> dict:
    """Return an audit as plain values."""
    return {
        "text": found.text,
        "words": [
            {
                "text": word.text.strip(),
                "log_likelihood": word.seen,
                "without_picture": word.blind,
                "support": word.support,
                "tokens": [
                    {
                        "text": token.text,
                        "log_likelihood": token.seen,
                        "without_picture": token.blind,
                        "support": token.support,
                        "likeliest": token.instead,
                        "likeliest_log_likelihood": token.instead_seen,
                    }
                    for token in word.tokens
                ],
            }
            for word in found.words
        ],
    }


app = o.application(audit, o.LOADING)
