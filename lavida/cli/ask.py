"""`lavida describe` and `lavida ask`: one answer for each picture.

lavida describe photos/ --json
lavida ask photo.jpg "What is this?"
cat photo.jpg | lavida ask "What is this?"
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

from lavida.cli import options as o
from lavida.cli.answer import answer_all
from lavida.errors import RequestError

Images = Annotated[
    list[str] | None, o.argument("IMAGE...", "Files, folders, patterns; - for a picture or list on stdin.")
]


@o.command(o.decoding(), o.CALIBRATED, o.ANSWERING, o.LOADING)
def describe(images: Images = None, **options: Any) -> int:
    """Describe pictures, one line each."""
    if not images and options["video"] is None:
        raise RequestError("Missing argument 'IMAGE...'; see `lavida describe --help`")
    return answer_all(images or [], None, options)


Words = Annotated[
    list[str],
    o.argument(
        'IMAGE... "QUESTION"',
        "Pictures as in describe, then the question; without a picture it is read from stdin, unless the model "
        "is MMaDA or reads text only. A question of - is read from stdin.",
    ),
]


@o.command(o.decoding(), o.CALIBRATED, o.CONSTRAINED, o.ANSWERING, o.LOADING)
def ask(words: Words, **options: Any) -> int:
    """Ask one question about pictures, one answer a line."""
    *images, question = words
    if not images and (question == "-" or os.path.exists(question)):
        raise RequestError(f'no question for {question}; say lavida ask {question} "What is this?"')
    if question == "-":
        if "-" in images:
            raise RequestError("standard input cannot be both the picture and the question; name one of them")
        question = sys.stdin.read()
    if not question.strip():
        raise RequestError("the question is empty; ask something about the picture")
    return answer_all(images, question.strip(), options)
