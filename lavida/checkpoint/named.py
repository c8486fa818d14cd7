"""Models by folder, hub id or name: the folder, the network, the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lavida.checkpoint.adapters import base_of, find_adapter, merge_adapter
from lavida.checkpoint.hub import find_checkpoint
from lavida.checkpoint.inventory import read_config, survey
from lavida.checkpoint.io import load_checkpoint
from lavida.config import VLMConfig
from lavida.errors import CheckpointError
from lavida.model import packing, placement
from lavida.model.vlm import VLM
from lavida.text.pretrained import load_tokenizer
from lavida.text.tokenizer import Vocabulary

MODELS = {"lavida-mini": Path(__file__).parents[1] / "assets" / "mini"}
DEFAULT_MODEL = "lavida-mini"
AUTO = "auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_net(folder: Path, *, dtype: torch.dtype | None = None, adapter: Path | None = None, **placed: Any) -> VLM:
    """Load the network of a folder, in eval mode; other arguments and errors are those of `load_checkpoint`.

    `adapter` is a folder of adapters, which are added to the weights before these are packed.
    """
    if adapter is not None:
        return _with_adapter(folder, adapter, dtype, **placed)
    if dtype is None and read_config(survey(folder)).traits.float32:
        dtype = torch.float32
    net, _ = load_checkpoint(folder, dtype=dtype, **placed)
    return net.eval()


def _with_adapter(
    folder: Path,
    adapter: Path,
    dtype: torch.dtype | None,
    quantize: str | None = None,
    offload: bool = False,
    device: torch.device | str = "cpu",
    pack: bool = False,
) -> VLM:
    net = merge_adapter(load_net(folder, dtype=dtype, device=device), adapter)
    if quantize is not None:
        placement.quantize(net, quantize)
    if offload:
        placement.offload(net, device)
    if pack and quantize is None and not offload:
        packing.pack_products(net)
    return net


def tokenizer_of(folder: Path, config: VLMConfig) -> Vocabulary:
    """Load the tokenizer of a folder, as its model needs it. Raises CheckpointError."""
    return load_tokenizer(folder, config)


def find_model(path: str | Path | None) -> Path:
    """Return the folder of a model: the package's own, a folder, or a hub id; of adapters, that of their model.

    Raises:
        CheckpointError: There is no such model.
    """
    if (adapter := find_adapter(path)) is not None:
        base = base_of(adapter)
        if find_adapter(base) is not None:
            raise CheckpointError(f"{adapter} names {base}, which are adapters too; merge those first")
        return find_model(base)
    name = str(path or DEFAULT_MODEL)
    folder = MODELS.get(name)
    if folder is not None:
        if not (folder / "config.json").is_file():
            raise CheckpointError(
                f"the model {name} is missing from this installation ({folder}); install lavida again"
            )
        return folder
    if "/" not in name and not Path(name).is_dir():
        raise CheckpointError(
            f"unknown model {name!r}; give a folder with config.json, the hub's owner/name, or {', '.join(MODELS)}"
        )
    return find_checkpoint(path or name)
