"""Vision-language models that write by masked diffusion.

import lavida

model = lavida.load()
print(model.describe("photo.jpg").text)
print(model.ask("photo.jpg", "What is this?").text)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lavida.api import Answer, Draft, Model, load
    from lavida.engine import Engine
    from lavida.errors import LavidaError

__version__ = "0.1.0"
__all__ = ["Answer", "Draft", "Engine", "LavidaError", "Model", "__version__", "load"]

# Imported when asked for: PyTorch takes a second, which `lavida --help` must not wait for.
_HOMES = {"Engine": "engine", "LavidaError": "errors", **dict.fromkeys(("Answer", "Draft", "Model", "load"), "api")}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lavida' has no attribute {name!r}")
    return getattr(import_module(f"lavida.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
