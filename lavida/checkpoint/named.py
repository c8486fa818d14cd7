"""Models by folder, hub id or name: the folder, the network, the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lavida.checkpoint.hub import find_checkpoint
from lavida.checkpoint.io import load_checkpoint
from lavida.config import VLMConfig
from lavida.errors import CheckpointError
from lavida.model.vlm import VLM
from lavida.text.pretrained import load_tokenizer
from lavida.text.tokenizer import Vocabulary

MODELS = {"lavida-mini": Path(__file__).parents[1] / "assets" / "mini"}
DEFAULT_MODEL = "lavida-mini"


def load_net(folder: Path, *, dtype: torch.dtype | None = None, **placed: Any) -> VLM:
    """Load the network of a folder, in eval mode; arguments and errors are those of `load_checkpoint`."""
    net, config = load_checkpoint(folder, dtype=dtype, **placed)
    if dtype is None and config.traits.float32:
        net = net.float()
    return net.eval()


def tokenizer_of(folder: Path, config: VLMConfig) -> Vocabulary:
    """Load the tokenizer of a folder, as its model needs it. Raises CheckpointError."""
    return load_tokenizer(folder, config)


def find_model(path: str | Path | None) -> Path:
    """Return the folder of a model: the package's own, a folder, or a hub id. Raises CheckpointError."""
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
