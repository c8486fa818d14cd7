"""What `lavida.Model` does to a text that is there already: fill its holes, audit it, revise it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from PIL import Image

from lavida.edit.audit import Audit, audit_ids
from lavida.edit.infill import Infill, InfillOptions, infill_ids
from lavida.edit.reading import Reading, check_both_ways
from lavida.edit.revise import ReviseOptions, Revision, revise_ids
from lavida.errors import RequestError
from lavida.image.video import Video
from lavida.text.holes import read_holes, text_ids

if TYPE_CHECKING:
    from lavida.api import Model, Picture, Shown

GREY = (127, 127, 127)
# Of the options of decoding, those that change how a hole is written.
_DECODE = {"steps", "schedule", "shift", "remasking", "threshold", "temperature", "top_p", "top_k", "seed"}


def infill(model: Model, image: Shown, text: str, question: str, *, cache: str | None = None, **options: Any) -> Infill:
    """Fill the holes of `text`; `options` are fields of `InfillOptions`, and those of `DecodeOptions` that apply.

    `cache` is that of `lavida.Model.log_likelihood`. Raises RequestError.
    """
    own = {f.name for f in fields(InfillOptions)} - {"decode"}
    _check_names(options, own | _DECODE)
    chosen = InfillOptions(
        **{k: v for k, v in options.items() if k in own},
        decode={k: v for k, v in options.items() if k in _DECODE},
    )
    check_both_ways(model.net)
    holed = read_holes(text, model.tokenizer, most=chosen.most)
    return infill_ids(read(model, image, question, cache=cache, length=chosen.length), holed, chosen)


def audit(
    model: Model, image: Picture, text: str, question: str, *, cache: str | None = None, length: int = 16
) -> Audit:
    """Audit `text` with the picture, and with a grey one in its place, on a canvas of at least `length` tokens.

    Raises RequestError.
    """
    ids = _ids(model, text)
    picture = _picture(model, image)
    grey = Image.new("RGB", picture.size, GREY)
    seen, blind = (read(model, one, question, cache=cache, length=length) for one in (picture, grey))
    return audit_ids(seen, blind, ids)


def revise(
    model: Model, image: Picture, text: str, question: str, *, cache: str | None = None, **options: Any
) -> Revision:
    """Revise `text`; `options` are fields of `ReviseOptions`. Raises RequestError."""
    _check_names(options, {f.name for f in fields(ReviseOptions)})
    chosen, ids = ReviseOptions(**options), _ids(model, text)
    check_both_ways(model.net)
    picture = _picture(model, image)
    return revise_ids(read(model, picture, question, cache=cache, length=chosen.length), ids, chosen)


def read(model: Model, image: Shown, question: str, *, cache: str | None, length: int) -> Reading:
    """The question about the picture as the model reads it; canvases have at least `length` tokens."""
    segments, held = model.read_question(image, question, cache)
    held = model.net.prefill(segments) if held == "prefix" else held
    return Reading(
        net=model.net,
        tokenizer=model.tokenizer,
        template=model.template,
        segments=segments,
        cache=held,
        length=length,
    )


def _check_names(options: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(options) - known)
    if unknown:
        raise RequestError(f"unknown option {unknown[0]!r}; choose from {', '.join(sorted(known))}")


def _ids(model: Model, text: str) -> list[int]:
    if not text.strip():
        raise RequestError("the text is empty; give at least one word")
    return text_ids(text.strip(), model.tokenizer)


def _picture(model: Model, image: Picture) -> Image.Image:
    if image is None or isinstance(image, (list, tuple, Video)):
        raise RequestError("a text is held against one picture; give one")
    model.sight.require()
    return model.open(image)
