"""LoRA adapters in peft's files, added to the weights of the model that they name; peft itself is not needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lavida.errors import CheckpointError
from lavida.model.vlm import VLM

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIXES = ("base_model.model.", "net.")  # of peft, and of the model as transformers has it
_A, _B = ".lora_A.weight", ".lora_B.weight"
# Kinds of adapters that are no plain B A.
_OTHER = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "modules_to_save")


def find_adapter(path: str | Path | None) -> Path | None:
    """Return the folder if it holds adapters instead of a model."""
    folder = Path(path) if path is not None else None
    return folder if folder is not None and (folder / CONFIG).is_file() else None


def base_of(adapter: Path) -> str:
    """Return the name of the model that adapters belong to. Raises CheckpointError if they name none."""
    base = _config(adapter).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise CheckpointError(f"{adapter / CONFIG} names no base_model_name_or_path; write the model's folder there")
    return base


@torch.no_grad()
def merge_adapter(net: VLM, adapter: Path) -> VLM:
    """Add adapters to the weights of a model: W + (alpha / rank) B A.

    Raises:
        CheckpointError: The adapters cannot be read, are of another kind than LoRA, or do not fit the model.
    """
    config = _config(adapter)
    other = next((name for name in _OTHER if config.get(name)), None)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or other or not isinstance(rank, int) or not isinstance(alpha, (int, float)):
        raise CheckpointError(f"{adapter}: only plain LoRA adapters are merged{f', not {other}' if other else ''}")
    try:
        tensors = load_file(adapter / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{adapter / WEIGHTS} cannot be read ({' '.join(str(error).split())})") from None
    weights = dict(net.named_parameters())
    pairs = {name.removesuffix(_A) for name in tensors if name.endswith(_A)}
    if not pairs or len(pairs) * 2 != len(tensors):
        raise CheckpointError(f"{adapter / WEIGHTS} does not hold pairs of matrices A and B")
    for name in sorted(pairs):
        _add(weights, name, tensors, float(alpha) / rank, adapter)
    return net


def _add(weights: dict[str, Any], name: str, tensors: dict[str, Tensor], scale: float, adapter: Path) -> None:
    bare = name
    for prefix in _PREFIXES:
        bare = bare.removeprefix(prefix)
    weight, a, b = weights.get(f"{bare}.weight"), tensors[name + _A], tensors.get(name + _B)
    if weight is None or b is None or (b.shape[0], a.shape[1]) != tuple(weight.shape) or b.shape[1] != a.shape[0]:
        raise CheckpointError(f"{adapter}: {bare} does not fit the model {base_of(adapter)}; give the adapters' own")
    change = (b.float() @ a.float()) * scale
    weight.data = (weight.float() + change.to(weight.device)).to(weight.dtype)  # it may be mapped from its file


def _config(adapter: Path) -> dict[str, Any]:
    try:
        config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{adapter / CONFIG} cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{adapter / CONFIG} is no JSON object")
    return config
