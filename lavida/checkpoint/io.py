"""Checkpoints on disk: config.json and safetensors, in one file or in shards, official or our own."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from lavida.checkpoint.contents import CONFIG, PROJECTOR, WEIGHTS, Stored, load_projector, open_weights, survey
from lavida.checkpoint.match import blueprint, match, read_config
from lavida.checkpoint.writing import write_shard
from lavida.config import VLMConfig
from lavida.errors import CheckpointError
from lavida.model.vlm import VLM


def load_checkpoint(folder: str | Path, *, dtype: torch.dtype | None = None) -> tuple[VLM, VLMConfig]:
    """The model of a folder, in eval mode, and its configuration; `dtype` None keeps what is stored.

    Every tensor is accounted for: CheckpointError names what is missing, unexpected or of another shape.
    """
    contents = survey(folder)
    config = read_config(contents)
    model = blueprint(config, contents.tensors)  # no memory and no work for weights that are about to be replaced
    found = match(contents, model)
    found.require(contents)
    model.load_state_dict(_read(found.matched, dtype), assign=True)
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
        write_shard(folder / WEIGHTS, state)
        (folder / CONFIG).write_text(json.dumps(model.config.to_json(), indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write the checkpoint to {folder} ({error}); choose another folder") from None


def _read(tensors: dict[str, Stored], dtype: torch.dtype | None) -> dict[str, Tensor]:
    state = {}
    for path in sorted({stored.path for stored in tensors.values()}):
        wanted = {name: stored.name for name, stored in tensors.items() if stored.path == path}
        if path.name == PROJECTOR:
            held = load_projector(path)
            state.update((name, held[theirs]) for name, theirs in wanted.items())
        else:
            with open_weights(path) as file:
                state.update((name, file.get_tensor(theirs)) for name, theirs in wanted.items())
    return {n: t.to(dtype) if dtype is not None and t.is_floating_point() else t for n, t in state.items()}
