"""From options by name to `DecodeOptions`: what a caller gives, over the defaults of the model's family.

Two tables of defaults: ours, and those of the official functions. docs/fidelity.md has the reason for each difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lavida.config import VLMConfig
from lavida.constrain.base import CONSTRAINTS
from lavida.decode.loop import Canvas
from lavida.decode.options import OPTIONS, DecodeOptions, check_names
from lavida.errors import RequestError
from lavida.text.tokenizer import Vocabulary

if TYPE_CHECKING:
    from lavida.constrain.canvas import CanvasConstraint

LENGTH = 16  # tokens of an answer's canvas unless the caller says otherwise: what lavida-mini was mostly trained on
LONGEST = 64  # the longest canvas it was trained on

# No steps: one token a pass, as the published figures were measured. lavida-mini commits what it is sure of: of the
# natural questions of its model card as many are right as with one token a pass, in a sixth of the passes.
_OURS: dict[str, dict[str, Any]] = {
    "lavida-mini": {"threshold": 0.9},
    "lavida-llada": {"length": 64},
    "lavida-dream": {"length": 64, "remasking": "margin", "sharp_confidence": True},
    "llada-v": {"length": 128, "schedule": "even", "cache": "none"},
    "llada": {"length": 128, "block": 32, "schedule": "even", "cache": "none"},
    "dream": {"length": 128, "remasking": "entropy", "sharp_confidence": True, "schedule": "even", "cache": "none"},
    "mmada": {"length": 128, "block": 128, "schedule": "even", "cache": "none"},
}
_PACES = (  # options that say how many tokens a step commits, or which; any of them replaces a family's threshold
    "steps", "block", "counts", "factor", "entropy_bound", "revise", "remasking", "schedule", "shift",
    "selection_temperature", "annealed", "language",
)  # fmt: skip
_LLADA = {"length": 128, "block": 128, "schedule": "even", "cache": "none", "early_stop": False}
_DREAM = {  # top_k 50 is a default of transformers that Dream's code inherits
    "length": 512, "schedule": "timesteps", "remasking": "entropy", "sharp_confidence": True, "top_k": 50,
    "cache": "none", "early_stop": False,
}  # fmt: skip
_OFFICIAL: dict[str, dict[str, Any]] = {
    "lavida-mini": {},
    "lavida-llada": {**_LLADA, "shift": 3.0},
    "lavida-dream": {**_DREAM, "temperature": 0.2, "top_p": 0.95, "shift": 3.0},
    "llada-v": _LLADA,
    "llada": _LLADA,
    "dream": _DREAM,
    "mmada": _LLADA,
}


def family_options(config: VLMConfig, compat: str | None = None) -> dict[str, Any]:
    """Return the defaults of the model's family; with `compat` "official", those of its official code.

    A model that never writes its end of text (LLaDA-V) stops at the other end tokens, and an autoregressive one writes
    token after token. Raises RequestError for an unknown `compat`.
    """
    OPTIONS["compat"].check("compat", compat)
    options = {**(_OURS if compat is None else _OFFICIAL)[config.family], "compat": compat}
    ends, banned = config.denoiser.eos_ids, config.denoiser.banned_ids
    if banned:
        options["banned"] = banned
    if config.denoiser.autoregressive:
        options |= {"block": 1, "threshold": None}
    if config.family == "lavida-mini" and not config.shared_image:  # trained with a prompt that attends to the answer
        options["cache"] = "none"
    if set(ends) & set(banned):
        options["stops"] = tuple((i,) for i in ends if i not in banned)
    return {name: value for name, value in options.items() if value is not None}


def model_options(config: VLMConfig, known: int, options: Mapping[str, Any]) -> DecodeOptions:
    """Return options over the defaults of the model's family.

    Args:
        config: Of the model.
        known: Number of token ids; ids from it on, which stand for no token, are never written.
        options: By name, as for `decode_options`.

    Raises:
        RequestError: A name is unknown or a value out of range.
    """
    family = family_options(config, options.get("compat"))
    unused = range(known, config.denoiser.vocab_size)
    return decode_options(options, {**family, "banned": (*family.get("banned", ()), *unused)})


def checked_options(config: VLMConfig, vocabulary: Vocabulary, options: Mapping[str, Any]) -> DecodeOptions:
    """Return `model_options`, with room for the form that the answer is held to.

    Without a length the canvas takes twice the shortest text of that form.

    Raises:
        RequestError: A blank canvas cannot become such a text, or an option is bad.
    """
    chosen = model_options(config, vocabulary.size, options)
    constraint = constraint_for(config, vocabulary, chosen)
    if constraint is None or chosen.language is None:
        return chosen
    if options.get("length") is None:
        shortest = constraint.shortest() or 0
        roomy = max(chosen.language.room(vocabulary), min(2 * shortest, max(shortest, LONGEST)))
        chosen = model_options(config, vocabulary.size, {**options, "length": max(chosen.length, roomy)})
    constraint.check(Canvas.blank(chosen.length, config.denoiser.mask_id).ids)
    return chosen


def constraint_for(config: VLMConfig, vocabulary: Vocabulary, options: DecodeOptions) -> CanvasConstraint | None:
    """Return the constraint that holds a canvas to the language of the options, if any. Raises RequestError."""
    if options.language is None:
        return None
    from lavida.constrain.canvas import constraint_of  # only where it is needed

    return constraint_of(options.language, vocabulary, config.denoiser, options.banned)


def decode_options(options: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> DecodeOptions:
    """Return options by name over defaults; None stands for the default.

    Those of `CONSTRAINTS` become the `language`. Tokens that the defaults ban stay banned.

    Raises:
        RequestError: A name is unknown or a value out of range.
    """
    check_names(options, (*OPTIONS, *CONSTRAINTS))
    given = {name: value for name, value in options.items() if value is not None}
    if any(name in given for name in CONSTRAINTS):
        from lavida.constrain.language import language_of  # only where it is needed

        language = language_of(given)
        given = {name: value for name, value in given.items() if name not in CONSTRAINTS} | {"language": language}
    defaults = {"length": LENGTH, **(defaults or {})}
    for name in ("length", "steps", "block"):  # before they are compared with each other
        if name in given:
            given[name] = OPTIONS[name].check(name, given[name])
    if any(name in given for name in _PACES):
        defaults = {**defaults, "threshold": None}
    chosen = {**defaults, **given}
    if "language" in given:  # which says where the text ends, as the stops of a family do
        chosen["stops"] = given.get("stops", ())
    if "length" not in given:  # a canvas has a token for each step; beyond the longest canvas steps are refused
        steps = given.get("steps") or chosen["length"]
        chosen["length"] = steps if chosen["length"] < steps <= LONGEST else chosen["length"]
    if "block" not in given and chosen.get("block"):  # a default must not contradict a short canvas or few steps
        block = min(chosen["block"], chosen["length"])
        chosen["block"] = block if -(-chosen["length"] // block) <= (chosen.get("steps") or chosen["length"]) else None
    made = DecodeOptions(**{**chosen, "banned": given.get("banned", ())})
    if "shift" in given and "schedule" not in given and made.schedule != "shift":
        raise RequestError(f"shift belongs to schedule shift, and this model's is {made.schedule}; add schedule shift")
    return replace(made, banned=(*made.banned, *defaults.get("banned", ())))
