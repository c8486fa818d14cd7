"""A trained run as a model folder: weights in bfloat16 with the tower folded in, tokenizer, class names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lavida.checkpoint.io import save_checkpoint
from lavida.data.labels import Label
from lavida.model.efficientnet import EfficientNetLite0
from lavida.model.vlm import VLM
from lavida.text.tokenizer import Tokenizer
from lavida.train.trainer import mini_config


def export(
    weights: dict[str, Tensor], tower: EfficientNetLite0, tokenizer: Tokenizer, labels: Sequence[Label], out: Path
) -> None:
    """Write what `lavida.load` reads: the weights of a run (without tower), the tower, tokenizer and names."""
    vlm = VLM(mini_config(tokenizer))
    vlm.tower = None
    vlm.load_state_dict(weights)
    vlm.tower = tower
    save_checkpoint(vlm, out, dtype=torch.bfloat16)
    tokenizer.save(out)
    (out / "labels.json").write_text(json.dumps([label.name for label in labels]) + "\n", encoding="utf-8")
