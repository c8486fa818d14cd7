"""Vision-language models that write by masked diffusion.

import lavida

model = lavida.load()
print(model.describe("photo.jpg").text)
print(model.ask("photo.jpg", "What is this?").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lavida.api import Answer, Draft, Model, load

__version__ = "0.1.0"
__all__ = ["Answer", "Draft", "LavidaError", "Model", "__version__", "load"]


def __getattr__(name: str) -> object:
    # Lazily: importing PyTorch takes a second, which `lavida --help` must not wait for.
    if name in ("Answer", "Draft", "Model", "load"):
        from lavida import api

        return getattr(api, name)
    if name == "LavidaError":
        from lavida.errors import LavidaError

        return LavidaError
    raise AttributeError(f"module 'lavida' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
