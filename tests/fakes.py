"""Tiny models of random weights that the tests share."""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.image.tiles import Grid
from lavida.model.vlm import VLM

DENOISER = {
    "vocab_size": 48,
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "mlp_size": 48,
    "mask_id": 40,
    "eos_ids": (41, 42),
}
SIGLIP = VisionConfig(
    kind="siglip",
    hidden_size=16,
    image_size=28,
    cells=4,
    n_layers=2,
    n_heads=2,
    mlp_size=24,
    patch_size=7,
)
LITE0 = VisionConfig(kind="efficientnet-lite0", hidden_size=320, image_size=224, cells=7, mean=127 / 255, std=128 / 255)
TILES = TilesConfig(pinpoints=((56, 56), (28, 56), (56, 28)))


def tiny_config(vision: VisionConfig | None = SIGLIP, *, shared_image: bool = False, **denoiser: object) -> VLMConfig:
    """A text-only or SigLIP or EfficientNet model of 32 channels."""
    return VLMConfig(
        denoiser=DenoiserConfig(**{**DENOISER, **denoiser}),
        vision=vision,
        tiles=TILES if vision is SIGLIP else TilesConfig(pinpoints=((448, 448),), keep_aspect=False, positions=True),
        shared_image=shared_image,
    )


def tiny_model(config: VLMConfig, seed: int = 0) -> VLM:
    """Random weights, sharp enough that the answer depends on the prompt."""
    torch.manual_seed(seed)
    model = VLM(config)
    generator = torch.Generator().manual_seed(seed)
    model.reset(generator)
    with torch.no_grad():
        for name, p in model.denoiser.named_parameters():
            if p.dim() > 1 and "embedding" not in name:
                p.mul_(8)
    return model.eval()


def image_tokens(model: VLM, views: Tensor, grid: Grid) -> Tensor:
    """Image tokens [T, D] of one picture's views [V, 3, S, S]."""
    return model.image_tokens(model.tower(views), grid)
