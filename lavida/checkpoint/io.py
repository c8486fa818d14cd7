"""Checkpoints on disk: config.json and safetensors, in one file or in shards, official or our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lavida.checkpoint.families import read_official
from lavida.checkpoint.layouts import OURS, Layout, recognise
from lavida.config import VLMConfig
from lavida.errors import CheckpointError
from lavida.model.efficientnet import EfficientNetLite0
from lavida.model.vlm import VLM

WEIGHTS, INDEX, CONFIG, TOWER_CONFIG = (
    "model.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "vision_config.json",
)


def load_checkpoint(folder: str | Path, *, dtype: torch.dtype | None = None) -> tuple[VLM, VLMConfig]:
    """The model of a folder, in eval mode, and its configuration; `dtype` None keeps what is stored.

    Every tensor is accounted for: CheckpointError names what is missing, unexpected or of another shape.
    """
    folder = Path(folder)
    data = _read_json(folder / CONFIG)
    where = _tensor_files(folder)
    layout = recognise(where)
    ours, unexpected = _ours(where, layout)
    shapes = _shapes(folder, {name: where[theirs] for name, theirs in ours.items()}, ours)
    config = _config(folder, data, layout, shapes)
    with torch.device("meta"), _Uninitialised():  # no memory and no work for weights that are about to be replaced
        model = VLM(config)
        if isinstance(model.tower, EfficientNetLite0):
            model.tower.take_form({name.removeprefix("tower.") for name in shapes if name.startswith("tower.")})
    expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    if layout is not OURS:  # a tower's last layer may be there; it is not run
        ours = {name: theirs for name, theirs in ours.items() if name in expected or "tower.encoder." not in name}
    _account(folder, {name: shapes[name] for name in ours}, expected, unexpected)
    model.load_state_dict(_read(folder, ours, where, dtype), assign=True)
    return model.eval(), config


def save_checkpoint(model: VLM, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write config.json and model.safetensors in our own layout; `dtype` casts floating tensors, None keeps them."""
    folder = Path(folder)
    state = {}
    for name, tensor in model.state_dict().items():
        cast = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        state[name] = tensor.detach().to("cpu", cast).contiguous()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / CONFIG).write_text(json.dumps(model.config.to_json(), indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write the checkpoint to {folder} ({error}); choose another folder") from None


class _Uninitialised(TorchFunctionMode):
    """Leaves out the initialisation of new modules: on the meta device it does nothing and imports for a second."""

    _SKIPPED = frozenset(("uniform_", "normal_", "fill_", "zero_", "kaiming_uniform_", "kaiming_normal_"))

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self._SKIPPED:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(f"{path.parent} has no readable {path.name}; give the folder of a checkpoint") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); fetch the file again") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a JSON object; fetch the file again")
    return data


def _tensor_files(folder: Path) -> dict[str, str]:
    """File name of each tensor."""
    if (folder / INDEX).exists():
        index = _read_json(folder / INDEX).get("weight_map")
        if not isinstance(index, dict) or not all(isinstance(f, str) and Path(f).name == f for f in index.values()):
            raise CheckpointError(f"{folder / INDEX} lists no shards; fetch the file again")
        return index
    with _open(folder, WEIGHTS) as file:
        return dict.fromkeys(file.keys(), WEIGHTS)


def _open(folder: Path, name: str) -> Any:
    try:
        return safe_open(folder / name, framework="pt")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {folder / name} ({error}); fetch the file again") from None


def _ours(where: dict[str, str], layout: Layout) -> tuple[dict[str, str], list[str]]:
    """Our names with theirs, and the names that no rule speaks of."""
    ours, unexpected = {}, []
    for theirs in where:
        name = layout.to_ours(theirs)
        if name is not None:
            ours[name] = theirs
        elif not layout.is_unused(theirs):
            unexpected.append(theirs)
    return ours, unexpected


def _shapes(folder: Path, files: dict[str, str], ours: dict[str, str]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file_name in sorted(set(files.values())):
        with _open(folder, file_name) as file:
            held = set(file.keys())
            for name, theirs in ours.items():
                if files[name] == file_name and theirs in held:
                    shapes[name] = tuple(file.get_slice(theirs).get_shape())
    lost = sorted(set(ours) - set(shapes))
    if lost:
        raise CheckpointError(f"{files[lost[0]]} does not hold {ours[lost[0]]}, which {INDEX} says; fetch it again")
    return shapes


def _config(folder: Path, data: dict[str, Any], layout: Layout, shapes: dict[str, tuple[int, ...]]) -> VLMConfig:
    if layout is OURS:
        return VLMConfig.from_json(data)
    tower = _read_json(folder / TOWER_CONFIG) if (folder / TOWER_CONFIG).exists() else None
    return read_official(data, tower, layout, shapes)


def _account(
    folder: Path,
    have: dict[str, tuple[int, ...]],
    expected: dict[str, tuple[int, ...]],
    unexpected: list[str],
) -> None:
    missing = sorted(set(expected) - set(have))
    unexpected = sorted([*unexpected, *(set(have) - set(expected))])
    for what, names in (("lacks", missing), ("has unexpected", unexpected)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise CheckpointError(
                f"{folder} {what} tensors: {', '.join(names[:3])}{more}; config.json may not be its own"
            )
    for name, shape in expected.items():
        if have[name] != shape:
            raise CheckpointError(
                f"{folder}: {name} has shape {have[name]} and config.json asks for {shape}; they do not belong together"
            )


def _read(folder: Path, ours: dict[str, str], where: dict[str, str], dtype: torch.dtype | None) -> dict[str, Tensor]:
    state = {}
    for file_name in sorted({where[theirs] for theirs in ours.values()}):
        with _open(folder, file_name) as file:
            for name, theirs in ours.items():
                if where[theirs] == file_name:
                    tensor = file.get_tensor(theirs)
                    state[name] = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
    return state
