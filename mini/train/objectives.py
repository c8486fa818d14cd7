"""lavida-mini's objectives: the default with one ingredient changed, and that of the autoregressive twin."""

from __future__ import annotations

from dataclasses import replace

from lavida.config import VLMConfig
from lavida.diffusion.objective import Objective
from lavida.errors import RequestError
from mini.train.packing import PREFIX_DLM

OBJECTIVES: dict[str, Objective] = {
    "default": PREFIX_DLM,
    "independent": replace(PREFIX_DLM, complementary=False),
    "1/t": replace(PREFIX_DLM, weighting="1/t"),
    "full": replace(PREFIX_DLM, attention="full"),
    "ar": replace(PREFIX_DLM, attention="causal", autoregressive=True),
}


def find_objective(name: str) -> Objective:
    """Return an objective by its name. Raises RequestError for an unknown one."""
    if name not in OBJECTIVES:
        raise RequestError(f"unknown objective {name!r}; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]


def adapt_config(config: VLMConfig, objective: Objective) -> VLMConfig:
    """Return the configuration of a model trained under `objective`, so that it answers under the same mask."""
    ar, now = objective.autoregressive, config.denoiser
    denoiser = replace(now, autoregressive=ar, logit_shift=ar or (now.logit_shift and not now.autoregressive))
    return replace(config, denoiser=denoiser, shared_image=objective.attention != "full")
