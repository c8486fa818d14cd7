"""A tiny random model and tokenizer for tests: real code, no weights, no downloads."""

from __future__ import annotations

from pathlib import Path

import torch

from lavida.api import Model
from lavida.checkpoint.io import save_checkpoint
from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.model.vlm import VLM
from lavida.text.labels import Label, save_labels
from lavida.text.tokenizer import Tokenizer

WORDS = ("a cat and a dog", "What is this? Describe the image.", "one red ball on the left", '{"cat": 2, "dog": 1}')
LABELS = [Label(name=f"thing {i}", kinds=("thing",)) for i in range(1000)]


def tiny_tokenizer() -> Tokenizer:
    """About 300 ids: all bytes, the special tokens and a few words."""
    return Tokenizer.train(WORDS, 320)


def tiny_config(tokenizer: Tokenizer, *, shared_image: bool = True) -> VLMConfig:
    """Two layers of width 32 behind the light tower, the views of lavida-mini."""
    return VLMConfig(
        denoiser=DenoiserConfig(
            vocab_size=tokenizer.size,
            d_model=32,
            n_layers=2,
            n_heads=4,
            n_kv_heads=2,
            mlp_size=64,
            mask_id=tokenizer.mask_id,
            eos_ids=(tokenizer.eos_id,),
            tied_head=True,
            max_length=512,
        ),
        vision=VisionConfig(
            kind="efficientnet-lite0", hidden_size=320, image_size=224, cells=7, mean=127 / 255, std=128 / 255
        ),
        tiles=TilesConfig(pinpoints=((448, 448),), keep_aspect=False, positions=True),
        shared_image=shared_image,
    )


def tiny_net(config: VLMConfig, seed: int = 0) -> VLM:
    """Random weights, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = VLM(config)
        net.reset(torch.Generator().manual_seed(seed))
    return net.eval()


def tiny_model(*, shared_image: bool = True) -> Model:
    """What `lavida.load` returns, random."""
    tokenizer = tiny_tokenizer()
    return Model(tiny_net(tiny_config(tokenizer, shared_image=shared_image)), tokenizer, labels=LABELS, name="tiny")


def save_tiny(folder: Path) -> Path:
    """A model folder for `lavida.load` and `--model`."""
    tokenizer = tiny_tokenizer()
    save_checkpoint(tiny_net(tiny_config(tokenizer)), folder)
    tokenizer.save(folder)
    save_labels(LABELS, folder)
    return folder
