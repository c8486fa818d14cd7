"""`lavida describe photo.jpg`, `lavida describe photos/ --json`, `cat photo.jpg | lavida describe -`."""

from __future__ import annotations

from typing import Annotated, Any

from lavida.cli import options as o
from lavida.cli.answer import answer_all
from lavida.errors import RequestError

Images = Annotated[
    list[str] | None, o.argument("IMAGE...", "Files, folders, patterns; - for a picture or list on stdin.")
]


def describe(images: Images = None, **options: Any) -> int:
    """Describe pictures, one line each."""
    if not images and options["video"] is None:
        raise RequestError("Missing argument 'IMAGE...'; see `lavida describe --help`")
    return answer_all(images or [], None, options)


app = o.application(describe, o.decoding(), o.CALIBRATED, o.ANSWERING, o.LOADING)
