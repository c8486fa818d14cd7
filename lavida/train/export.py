"""A trained run as a model folder: weights in bfloat16, tokenizer, class names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from lavida.checkpoint.io import save_checkpoint
from lavida.data.labels import Label
from lavida.model.vlm import VLM
from lavida.text.tokenizer import Tokenizer


def export(vlm: VLM, tokenizer: Tokenizer, labels: Sequence[Label], out: Path) -> None:
    """Write what `lavida.load` reads."""
    save_checkpoint(vlm, out, dtype=torch.bfloat16)
    tokenizer.save(out)
    (out / "labels.json").write_text(json.dumps([label.name for label in labels]) + "\n", encoding="utf-8")
