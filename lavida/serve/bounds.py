"""Bounds on the work of one request: an infill compares many texts, an audit hides every word."""

from __future__ import annotations

from lavida.api import Model
from lavida.edit.infill import MOST
from lavida.serve.errors import FieldError
from lavida.text.holes import read_holes, text_ids

LETTERS = 8000  # of a text or a question; what it may take in tokens is looked at next
TOKENS = 256  # of a text, its holes filled
HOLES = 8
HOLE_TOKENS = 64  # of all holes together, at most


def check_holes(model: Model, text: str, *, most: int = MOST) -> None:
    """Raise FieldError for a text whose holes take more work than one request may; RequestError if it has none."""
    if len(text) > LETTERS:
        raise FieldError(f"the text has {len(text):,} letters, and {LETTERS:,} are read; shorten it", param="text")
    holed = read_holes(text, model.tokenizer, most=most)
    within = sum(hole.most for hole in holed.holes)
    if len(holed.holes) > HOLES or within > HOLE_TOKENS:
        raise FieldError(
            f"the text has {len(holed.holes)} holes of up to {within} tokens, and {HOLES} of {HOLE_TOKENS} together "
            "are filled; leave some out",
            param="text",
        )
    _check_tokens(sum(map(len, holed.ids)) + within)


def check_tokens(model: Model, text: str) -> None:
    """Raise FieldError for a text that takes more work than one request may."""
    _check_tokens(len(text_ids(text.strip(), model.tokenizer)))


def _check_tokens(count: int) -> None:
    if count > TOKENS:
        raise FieldError(f"the text takes {count} tokens, and {TOKENS} are read; shorten it", param="text")
