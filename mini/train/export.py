"""A trained run as a model folder: weights in bfloat16, tokenizer, class names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lavida.checkpoint.io import save_checkpoint
from lavida.model.vlm import VLM
from lavida.text.labels import Label, save_labels
from lavida.text.tokenizer import Tokenizer


def export(vlm: VLM, tokenizer: Tokenizer, labels: Sequence[Label], out: Path, *, borrows: Path | None = None) -> None:
    """Write what `lavida.load` reads; `borrows` is a model with the same pretrained tower, which is left out then."""
    save_checkpoint(vlm, out, dtype=torch.bfloat16, borrows=borrows)
    tokenizer.save(out)
    save_labels(list(labels), out)
