"""Checkpoints on disk: config.json and safetensors, in one file or in shards, official or our own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from lavida.checkpoint.contents import BORROWS, CONFIG, WEIGHTS, survey
from lavida.checkpoint.inventory import blueprint, match, read_config
from lavida.checkpoint.read import Target, read_tensors
from lavida.checkpoint.writing import write_shard
from lavida.config import VLMConfig
from lavida.errors import CheckpointError, RequestError
from lavida.model import placement
from lavida.model.vlm import VLM


def load_checkpoint(
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    quantize: str | None = None,
    offload: bool = False,
) -> tuple[VLM, VLMConfig]:
    """The model of a folder, in eval mode, and its configuration; `dtype` None keeps what is stored.

    On a CPU, tensors that need not change remain mapped from disk; the others pass through memory a few at a time.
    `quantize` is one of `placement.QUANTIZE`; `offload` keeps the denoiser's blocks on the CPU, from where they visit
    the device one at a time. Every tensor is accounted for: CheckpointError names what is missing, unexpected or of
    another shape. Raises RequestError for a device that cannot be had or an unknown `quantize`.
    """
    _check_device(device)
    if quantize is not None:
        placement.check_quantize(quantize)
    contents = survey(folder)
    config = read_config(contents)
    model = blueprint(config, contents.tensors)  # no memory and no work for weights that are about to be replaced
    found = match(contents, model)
    found.require(contents)
    target = Target(
        dtype=dtype,
        device=torch.device(device),
        packed=placement.quantize(model, quantize) if quantize is not None else {},
        waiting=placement.BLOCKS if offload else None,
    )
    model.load_state_dict(read_tensors(found.matched, target), assign=True)
    if offload:
        placement.offload(model, device)
    return model.eval(), config


def save_checkpoint(
    model: VLM,
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    weights: Mapping[str, Tensor] | None = None,
    borrows: str | Path | None = None,
) -> None:
    """Write config.json and model.safetensors in our own layout; `dtype` casts floating tensors, None keeps them.

    `weights` are the model's own by default; those of a model that is spread over processes are given, gathered. What
    a light tower keeps as it was pretrained is left out if it can be had from the model in the folder `borrows`.
    Raises CheckpointError.
    """
    if not placement.is_as_trained(model):
        raise CheckpointError("a quantized or offloaded model is not saved; save the one it was loaded from")
    folder, data = Path(folder), model.config.to_json()
    kept = dict(model.state_dict() if weights is None else weights)
    if borrows is not None:
        data[BORROWS] = os.path.relpath(borrows, folder)
        kept = _without_lent(kept, Path(borrows), dtype)
    state = {}
    for name, tensor in kept.items():
        cast = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        state[name] = tensor.detach().to("cpu", cast).contiguous()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_shard(folder / WEIGHTS, state)
        (folder / CONFIG).write_text(json.dumps(data, indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write the checkpoint to {folder} ({error}); choose another folder") from None


def _without_lent(state: dict[str, Tensor], lender: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The weights that the lender does not hold; those of the tower that it does must be the same."""
    lent = {name: stored for name, stored in survey(lender).tensors.items() if name.startswith("tower.")}
    lent = {name: stored for name, stored in lent.items() if not name.startswith("tower.adapted.") and name in state}
    for name, theirs in read_tensors(lent, Target()).items():
        if not torch.equal(state[name].detach().cpu().to(dtype or theirs.dtype), theirs.to(dtype or theirs.dtype)):
            raise CheckpointError(f"{name} is not that of {lender}; save the model whole")
    return {name: tensor for name, tensor in state.items() if name not in lent}


def _check_device(device: torch.device | str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch names no narrower type for a missing device
        raise RequestError(f"cannot use device {str(device)!r} ({str(error).splitlines()[0]}); try cpu") from None
