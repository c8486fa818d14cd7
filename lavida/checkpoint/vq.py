"""Checkpoints of the image tokenizer: one file of safetensors and a config.json that names no sizes.

Sizes other than the published ones stand in a file beside it, `vq_config.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from lavida.checkpoint.files import PICKLES, open_weights, read_json, write_json, write_shard
from lavida.checkpoint.hub import find_checkpoint
from lavida.config import VLMConfig, fits
from lavida.errors import CheckpointError, ConfigError, RequestError
from lavida.model.vq import HalfConfig, ImageTokenizer, VQConfig

HUB_ID = "showlab/magvitv2"
FOLDER = "vq"  # in the folder of a model that brings its image tokenizer
FILES = ("pytorch_model.safetensors", "model.safetensors")
SIZES = "vq_config.json"
_BUFFERS = ("quantize.embedding", "quantize.power_vals")  # tables of the signs of each code, which are computed here


def find_vq(named: str | Path | None, model: Path | None) -> Path:
    """Return the folder of an image tokenizer: a folder, a hub id, or by default that of the model or the published.

    Raises:
        CheckpointError: There is none.
    """
    if named is not None:
        return find_checkpoint(named)
    if model is not None and (model / FOLDER).is_dir():
        return model / FOLDER
    try:
        return find_checkpoint(HUB_ID)
    except CheckpointError as error:
        raise CheckpointError(f"no image tokenizer: {error}; name its folder as vq") from None


def load_vq(folder: Path, *, device: torch.device | str = "cpu") -> ImageTokenizer:
    """Load an image tokenizer, in float32 and eval mode; every tensor is accounted for.

    Raises:
        CheckpointError: The file is missing, broken, a pickle, or does not fit the sizes.
    """
    path = _weights(folder)
    with torch.device("meta"):
        model = ImageTokenizer(read_sizes(folder))
    state = _read(path)
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    for what, names in (("lacks", wanted.keys() - state.keys()), ("has unexpected", state.keys() - wanted.keys())):
        if names:
            raise CheckpointError(
                f"{path} {what} tensors: {', '.join(sorted(names)[:3])}; give the folder of a MAGVIT-v2 tokenizer"
            )
    for name, shape in wanted.items():
        if tuple(state[name].shape) != shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(state[name].shape)} and {shape} is due; "
                f"{SIZES} beside it names sizes other than the published ones"
            )
        if not bool(torch.isfinite(state[name]).all()):
            raise CheckpointError(f"{path}: {name} holds NaN or infinity; fetch the file again")
    model.load_state_dict(state, assign=True)
    return model.to(device).eval().requires_grad_(False)


def check_use(config: VLMConfig, name: str, **given: object) -> None:
    """Raise RequestError where something is given for the image tokenizer of a model that has none."""
    if config.codes is None and any(value is not None for value in given.values()):
        raise RequestError(f"{name} has no use for an image tokenizer; leave out {' and '.join(given)}")


def vq_loader(named: str | Path | None, model: Path, device: torch.device | str) -> Callable[[], ImageTokenizer]:
    """Return what loads the image tokenizer of a model; a wrong name is told now. Arguments as in `find_vq`."""
    found = find_vq(named, model) if named is not None else None
    return lambda: load_vq(found or find_vq(None, model), device=device)


def save_vq(model: ImageTokenizer, folder: Path) -> None:
    """Write an image tokenizer as it is published, with its sizes if they are others."""
    folder.mkdir(parents=True, exist_ok=True)
    config, bits = model.config, model.config.bits
    numbers = torch.arange(config.codes)[:, None] >> torch.arange(bits - 1, -1, -1) & 1
    tables = {
        "quantize.embedding": (numbers * 2 - 1).float(),
        "quantize.power_vals": 2 ** torch.arange(bits - 1, -1, -1),
    }
    write_shard(folder / FILES[0], {name: t.contiguous() for name, t in (model.state_dict() | tables).items()})
    write_json(folder / "config.json", {"_class_name": "MAGVITv2", "_diffusers_version": "0.32.2"})
    if config != VQConfig():
        halves = {"encoder": config.encoder, "decoder": config.decoder}
        sizes = {
            name: {"ch": half.channels, "ch_mult": list(half.factors), "num_res_blocks": list(half.blocks)}
            for name, half in halves.items()
        }
        write_json(folder / SIZES, {**sizes, "codebook_dim": bits})


def read_sizes(folder: Path) -> VQConfig:
    """Return the sizes of an image tokenizer: the published ones, unless a file says others. Raises CheckpointError."""
    path, published = folder / SIZES, VQConfig()
    if not path.exists():
        return published
    data = read_json(path)
    try:
        halves = {name: _half(data[name]) for name in ("encoder", "decoder")}
        bits = data["codebook_dim"]
        if not fits(bits, int):
            raise TypeError(f"codebook_dim is {bits!r:.40}")
        return replace(published, **halves, bits=bits)
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{path} does not say the sizes of an image tokenizer ({error})") from None


def _half(data: Mapping[str, Any]) -> HalfConfig:
    channels, factors, blocks = (data[name] for name in ("ch", "ch_mult", "num_res_blocks"))
    if not (fits(channels, int) and fits(factors, tuple[int, ...]) and fits(blocks, tuple[int, ...])):
        raise TypeError(f"ch, ch_mult and num_res_blocks are {channels!r:.20}, {factors!r:.40} and {blocks!r:.40}")
    return HalfConfig(channels=channels, factors=tuple(factors), blocks=tuple(blocks))


def _weights(folder: Path) -> Path:
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES) if folder.is_dir() else []
    if pickles:
        raise CheckpointError(
            f"{folder} holds pickled weights only ({pickles[0]}), which can execute code; take {FILES[0]}"
        )
    raise CheckpointError(f"{folder} holds no image tokenizer ({FILES[0]}); give the folder of one, such as {HUB_ID}")


def _read(path: Path) -> dict[str, Tensor]:
    with open_weights(path) as file:
        try:
            found = {name: file.get_tensor(name) for name in file.keys() if name not in _BUFFERS}
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"cannot read the tensors of {path} ({error}); fetch the file again") from None
    return {name: tensor.float() for name, tensor in found.items()}
