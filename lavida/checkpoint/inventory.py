"""Strict accounting: the tensors of a folder against those of the model that its configuration describes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lavida.checkpoint.contents import Contents, Stored
from lavida.checkpoint.families import read_official
from lavida.checkpoint.layouts import OURS
from lavida.config import VLMConfig
from lavida.errors import CheckpointError
from lavida.model.efficientnet import EfficientNetLite0
from lavida.model.vlm import VLM


@dataclass(frozen=True, kw_only=True)
class Match:
    """Each tensor of the model is `matched`, `missing` or `misshapen`; the rest is what else the folder holds."""

    matched: dict[str, Stored]  # by our names
    missing: dict[str, tuple[int, ...]]
    misshapen: dict[str, tuple[Stored, tuple[int, ...]]]  # what there is, and the shape that config.json asks for
    unexpected: tuple[Stored, ...]
    unused: tuple[Stored, ...]  # that the family's files hold and no code reads
    idle: dict[str, Stored]  # by our names: what a model of other options would read

    def require(self, contents: Contents) -> None:
        """Raises CheckpointError unless everything fits."""
        folder = contents.folder
        strange = [s.name for s in self.unexpected]
        for what, names in (("lacks", sorted(self.missing)), ("has unexpected", sorted(strange))):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                raise CheckpointError(
                    f"{folder} {what} tensors: {', '.join(names[:3])}{more}; config.json may not be its own"
                )
        for name, (stored, shape) in self.misshapen.items():
            raise CheckpointError(
                f"{folder}: {name} has shape {stored.shape} and config.json asks for {shape}; "
                "they do not belong together"
            )


def read_config(contents: Contents) -> VLMConfig:
    """The model's configuration, from config.json and the tensors. Raises CheckpointError for an unknown family."""
    data = contents.data
    if contents.layout is not OURS:
        return read_official(data, contents.tower, contents.layout, contents.shapes)
    if data.get("model_type", "lavida") != "lavida":
        raise CheckpointError(
            f"{contents.folder} has tensors of lavida and config.json of {data['model_type']!r}; "
            "they do not belong together"
        )
    return VLMConfig.from_json(data)


def blueprint(config: VLMConfig, names: Iterable[str]) -> VLM:
    """The model without memory for its weights; `names` tell which optional parts of a light tower there are."""
    with torch.device("meta"), _Uninitialised():
        model = VLM(config)
        if isinstance(model.tower, EfficientNetLite0):
            model.tower.take_form({name.removeprefix("tower.") for name in names if name.startswith("tower.")})
    return model


def match(contents: Contents, model: VLM) -> Match:
    """Hold what a folder has against what the model needs."""
    expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    have = contents.tensors
    extra = {name: stored for name, stored in have.items() if name not in expected}
    idle = {name for name in extra if contents.layout is not OURS and _is_idle(name, model.config)}
    return Match(
        matched={name: have[name] for name, shape in expected.items() if name in have and have[name].shape == shape},
        missing={name: shape for name, shape in expected.items() if name not in have},
        misshapen={n: (have[n], shape) for n, shape in expected.items() if n in have and have[n].shape != shape},
        unexpected=(*contents.unexpected, *(stored for name, stored in extra.items() if name not in idle)),
        unused=contents.unused,
        idle={name: extra[name] for name in sorted(idle)},
    )


def _is_idle(name: str, config: VLMConfig) -> bool:
    """The layers of the tower that are not run, and the newline of a model that ends no row with it."""
    layer = re.match(r"tower\.encoder\.layers\.(\d+)\.", name)
    return config.vision is not None and (name == "newline" or bool(layer and int(layer[1]) >= config.vision.n_layers))


class _Uninitialised(TorchFunctionMode):
    """Leaves out the initialisation of new modules: on the meta device it does nothing and imports for a second."""

    _SKIPPED = frozenset(("uniform_", "normal_", "fill_", "zero_", "kaiming_uniform_", "kaiming_normal_"))

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self._SKIPPED:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
