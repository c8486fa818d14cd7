"""The models as transformers knows models: `import lavida.hf` registers them with its Auto classes.

import lavida.hf
from transformers import AutoModelForImageTextToText, AutoProcessor

All of it wraps what `lavida.load` uses and gives the same ids (docs/transformers.md).
"""

from __future__ import annotations

from transformers import CONFIG_MAPPING, AutoModel, AutoModelForImageTextToText, AutoProcessor

from lavida.checkpoint.families import FORMS
from lavida.hf.config import LavidaConfig
from lavida.hf.generation import DiffusionGenerationConfig, DiffusionOutput
from lavida.hf.model import LavidaForMaskedDiffusion
from lavida.hf.processor import LavidaProcessor

__all__ = [
    "DiffusionGenerationConfig",
    "DiffusionOutput",
    "LavidaConfig",
    "LavidaForMaskedDiffusion",
    "LavidaProcessor",
    "register",
]


def register() -> None:
    """Make the Auto classes know our `model_type` and the published ones, except those that they know already."""
    for model_type in (LavidaConfig.model_type, *(form.model_type for form in FORMS.values())):
        if model_type not in CONFIG_MAPPING:
            CONFIG_MAPPING.register(model_type, LavidaConfig)
    AutoProcessor.register(LavidaConfig, LavidaProcessor, exist_ok=True)
    for auto in (AutoModel, AutoModelForImageTextToText):
        auto.register(LavidaConfig, LavidaForMaskedDiffusion, exist_ok=True)


register()
