"""Options of decoding under the names that evaluation harnesses and the published copies of them use.

LaViDa's copy of lmms-eval swallows a misspelt option (`refix_lm=True` in its main script), and LLaDA-V's passes `cfg`,
which its model does not read. Here an option that is not known is refused, and one that cannot be followed too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lavida.decode.options import NAMES, check_names
from lavida.errors import RequestError

_LENGTHS = ("max_new_tokens", "gen_length", "max_tokens")
_STEPS = ("gen_steps", "steps")
_REMASKING = {
    "low_confidence": "confidence", "random": "random", "topk_margin": "margin", "maskgit_plus": "confidence",
    "entropy": "entropy", "confidence": "confidence", "margin": "margin",
}  # fmt: skip
_FOREIGN = (
    *_LENGTHS, *_STEPS, "step_ratio", "step_per_block", "block_length", "prefix_lm", "alg", "schedule__shift", "cfg",
    "cfg_scale", "until", "stopping_criteria", "think_mode",
)  # fmt: skip
_THINKING = {"no_think": " /no_think", "think": " /think", None: ""}
# Of sampling and beam search, in the values that change nothing for greedy decoding.
_INERT: dict[str, tuple[Any, ...]] = {
    "do_sample": (False, None), "num_beams": (1, None), "top_p": (None, 0, 1, 0.0, 1.0), "top_k": (None,),
    "use_cache": (True, False, None), "image_aspect_ratio": ("original", None),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Hold what a harness asks for."""

    options: dict[str, Any] = field(default_factory=dict)  # of decoding
    until: tuple[str, ...] = ()  # texts before which an answer is cut
    suffix: str = ""  # follows the question

    def cut(self, text: str) -> str:
        """Return an answer up to the first of the texts that end it."""
        places = [place for place in map(text.find, self.until) if place >= 0]
        return text[: min(places)] if places else text


def read_options(given: Mapping[str, Any]) -> Asked:
    """Return the options of a harness in our terms.

    Names: max_new_tokens, gen_length -> length; gen_steps -> steps; step_ratio -> steps = ratio x length;
    step_per_block -> steps; block_length -> block; prefix_lm -> cache; alg, remasking -> remasking;
    schedule__shift -> shift; cfg -> guidance; until, stopping_criteria; think_mode. Our own names are known too.

    Raises:
        RequestError: An option is unknown, or cannot be followed.
    """
    rest = dict(given)
    found: dict[str, Any] = {}
    for name in _LENGTHS:
        if (value := rest.pop(name, None)) is not None:
            found["length"] = int(value)
    for name in _STEPS:
        if (value := rest.pop(name, None)) is not None:
            found["steps"] = int(value)
    if (ratio := rest.pop("step_ratio", None)) is not None:
        if "length" not in found:
            raise RequestError("step_ratio is a share of the length; give max_new_tokens too")
        found["steps"] = max(1, round(float(ratio) * found["length"]))
    if (block := rest.pop("block_length", None)) is not None:
        found["block"] = min(int(block), found.get("length", int(block)))
    if (each := rest.pop("step_per_block", None)) is not None:
        blocks = -(-found["length"] // found["block"]) if "length" in found and "block" in found else 1
        found["steps"] = int(each) * blocks
    if (prefix := rest.pop("prefix_lm", None)) is not None:
        found["cache"] = "prefix" if _is_true(prefix) else "none"
    if (order := rest.pop("alg", rest.pop("remasking", None))) is not None:
        if order not in _REMASKING:
            raise RequestError(f"unknown remasking {order!r}; choose one of {', '.join(_REMASKING)}")
        found["remasking"] = _REMASKING[order]
    if (shift := rest.pop("schedule__shift", None)) is not None:
        found["shift"] = float(shift)
    if guidance := rest.pop("cfg", rest.pop("cfg_scale", None)):
        found["guidance"] = float(guidance)
    if rest.get("temperature") is not None:
        found["temperature"] = float(rest.pop("temperature"))
    thinking = rest.pop("think_mode", None)
    if thinking not in _THINKING:
        raise RequestError(f"unknown think_mode {thinking!r}; choose one of no_think, think")
    until = [*_texts(rest.pop("until", None)), *_texts(rest.pop("stopping_criteria", None))]
    found |= _ours(rest, greedy=not found.get("temperature"))
    return Asked(options=found, until=tuple(text for text in until if text), suffix=_THINKING[thinking])


def _ours(rest: Mapping[str, Any], *, greedy: bool) -> dict[str, Any]:
    """Return what is left, which must be inert or under our own names. Raises RequestError."""
    kept = {name: value for name, value in rest.items() if value is not None}
    for name, values in _INERT.items():
        if name in kept and (kept[name] in values or (greedy and name in ("top_p", "top_k"))):
            del kept[name]
        elif name in kept and name not in NAMES:
            raise RequestError(
                f"{name}={kept[name]} cannot be followed: a masked canvas has no beams, and is not sampled so"
            )
    check_names(kept, (*NAMES, *_FOREIGN))
    return kept


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
