"""How each family decodes unless the caller says otherwise: ours, and what the official functions do by default.

docs/fidelity.md has the reason for every difference between the two tables.
"""

from __future__ import annotations

from typing import Any

from lavida.config import VLMConfig
from lavida.decode.options import COMPAT
from lavida.errors import RequestError

# No steps: one token a pass, as the published figures were measured.
_OURS: dict[str, dict[str, Any]] = {
    "lavida-mini": {},
    "lavida-llada": {"length": 64},
    "lavida-dream": {"length": 64, "remasking": "margin", "sharp_confidence": True},
    "llada-v": {"length": 128, "schedule": "even", "cache": "none"},
    "llada": {"length": 128, "block": 32, "schedule": "even", "cache": "none"},
    "dream": {"length": 128, "remasking": "entropy", "sharp_confidence": True, "schedule": "even", "cache": "none"},
}
_DREAM = {  # its 50 likeliest tokens are nobody's choice: a default of transformers that Dream's code inherits
    "length": 512,
    "schedule": "timesteps",
    "remasking": "entropy",
    "sharp_confidence": True,
    "top_k": 50,
    "cache": "none",
    "early_stop": False,
}
_LLADA = {"length": 128, "block": 128, "schedule": "even", "cache": "none", "early_stop": False}
_OFFICIAL: dict[str, dict[str, Any]] = {
    "lavida-mini": {},
    "lavida-llada": {**_LLADA, "shift": 3.0},
    "lavida-dream": {**_DREAM, "temperature": 0.2, "top_p": 0.95, "shift": 3.0},
    "llada-v": _LLADA,
    "llada": _LLADA,
    "dream": _DREAM,
}


def family_options(config: VLMConfig, compat: str | None = None) -> dict[str, Any]:
    """Fields of `DecodeOptions` that the family wants; with `compat` "official", the defaults of its official code.

    A model that never writes its end of text (LLaDA-V) stops at the other end tokens, and an autoregressive one writes
    one token after the other. Raises RequestError for an unknown `compat`.
    """
    if compat not in COMPAT:
        raise RequestError(f"unknown compat {compat!r}; choose one of {', '.join(map(str, COMPAT))}")
    table = _OURS if compat is None else _OFFICIAL
    options = {**table[config.family], "compat": compat}
    ends, banned = config.denoiser.eos_ids, config.denoiser.banned_ids
    if banned:
        options["banned"] = banned
    if config.denoiser.autoregressive:
        options["block"] = 1
    if config.family == "lavida-mini" and not config.shared_image:  # taught with a prompt that sees the answer
        options["cache"] = "none"
    if set(ends) & set(banned):
        options["stops"] = tuple((i,) for i in ends if i not in banned)
    return {name: value for name, value in options.items() if value is not None}
