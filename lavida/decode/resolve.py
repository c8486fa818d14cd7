"""From options by name to `DecodeOptions`: what a caller gave, over what the model's family wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lavida.config import VLMConfig
from lavida.constrain.base import CONSTRAINTS
from lavida.decode.defaults import family_options
from lavida.decode.loop import Canvas
from lavida.decode.options import DecodeOptions
from lavida.errors import RequestError
from lavida.text.tokenizer import Vocabulary

if TYPE_CHECKING:
    from lavida.constrain.canvas import CanvasConstraint

LENGTH = 16  # tokens of an answer's canvas unless asked otherwise: what lavida-mini was mostly taught on
LONGEST = 64  # the longest canvas it was taught on


def model_options(config: VLMConfig, known: int, options: Mapping[str, Any]) -> DecodeOptions:
    """Options over those of the model's family. Ids from `known` on, which stand for no token, are never written.

    Raises RequestError for an unknown name or a value out of range.
    """
    family = family_options(config, options.get("compat"))
    unused = range(known, config.denoiser.vocab_size)
    return decode_options(options, {**family, "banned": (*family.get("banned", ()), *unused)})


def checked_options(config: VLMConfig, vocabulary: Vocabulary, options: Mapping[str, Any]) -> DecodeOptions:
    """`model_options`, with room for what the answer is held to: twice its shortest text if no length is given.

    Raises RequestError if a blank canvas cannot become what is asked for.
    """
    chosen = model_options(config, vocabulary.size, options)
    constraint = constraint_for(config, vocabulary, chosen)
    if constraint is None:
        return chosen
    if options.get("length") is None:
        shortest = constraint.shortest() or 0
        roomy = max(chosen.language.room(vocabulary), min(2 * shortest, max(shortest, LONGEST)))
        chosen = model_options(config, vocabulary.size, {**options, "length": max(chosen.length, roomy)})
    constraint.check(Canvas.blank(chosen.length, config.denoiser.mask_id).ids)
    return chosen


def constraint_for(config: VLMConfig, vocabulary: Vocabulary, options: DecodeOptions) -> CanvasConstraint | None:
    """What holds a canvas to the language of its options, if they have one. Raises RequestError."""
    if options.language is None:
        return None
    from lavida.constrain.canvas import constraint_of  # not before it is needed

    return constraint_of(options.language, vocabulary, config.denoiser, options.banned)


def decode_options(options: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> DecodeOptions:
    """Options by name over a model's defaults; None means the default. Those of `CONSTRAINTS` become the `language`.

    Raises RequestError for an unknown name or a value out of range. Tokens that the defaults ban stay banned.
    """
    known = [f.name for f in fields(DecodeOptions)]
    unknown = sorted(set(options) - {*known, *CONSTRAINTS})
    if unknown:
        raise RequestError(f"unknown option {unknown[0]!r}; choose from {', '.join((*known, *CONSTRAINTS))}")
    given = _with_language({k: v for k, v in options.items() if v is not None})
    chosen = {"length": LENGTH, **(defaults or {}), **given}
    if "language" in given:  # which says where the text ends, as the stops of a family do
        chosen["stops"] = given.get("stops", ())
    if "length" not in given:  # as many steps need as many tokens; a number beyond the longest canvas is refused
        steps = given.get("steps") or chosen["length"]
        chosen["length"] = steps if chosen["length"] < steps <= LONGEST else chosen["length"]
    if "block" not in given and chosen.get("block"):  # a default must not contradict a short canvas or few steps
        block = min(chosen["block"], chosen["length"])
        chosen["block"] = block if -(-chosen["length"] // block) <= (chosen.get("steps") or chosen["length"]) else None
    chosen["banned"] = (*given.get("banned", ()), *(defaults or {}).get("banned", ()))
    return DecodeOptions(**chosen)


def _with_language(given: dict[str, Any]) -> dict[str, Any]:
    if not any(name in given for name in CONSTRAINTS):
        return given
    from lavida.constrain.language import language_of

    rest = {name: value for name, value in given.items() if name not in CONSTRAINTS}
    return {**rest, "language": language_of(given)}
