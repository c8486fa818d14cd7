"""A tiny model of the family lavida-mini with random weights, and maps of scenes that were never drawn."""

import random
from pathlib import Path
from types import SimpleNamespace

import torch

from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.model.vlm import VLM
from lavida.text.labels import Label
from lavida.text.tokenizer import Tokenizer
from mini.data.concepts import COLOURS, CONCEPTS
from mini.data.features import PictureRecord
from mini.data.worlds import SceneSampler

LABELS = [Label(name=n, kinds=(k,)) for n, k in (("tabby", "cat"), ("sports car", "car"), ("pig bank", "thing"))]


def tiny_model(seed: int = 0) -> SimpleNamespace:
    tokenizer = Tokenizer.train([" ".join([*CONCEPTS, *COLOURS, "What is this? Is there a yes no one two"])] * 2, 320)
    denoiser = DenoiserConfig(
        vocab_size=tokenizer.size, d_model=16, n_layers=2, n_heads=2, n_kv_heads=2, mlp_size=32,
        mask_id=tokenizer.mask_id, eos_ids=(tokenizer.eos_id,), tied_head=True, max_length=512,
    )  # fmt: skip
    vision = VisionConfig(kind="efficientnet-lite0", hidden_size=320, image_size=224, cells=7, mean=0.5, std=0.5)
    tiles = TilesConfig(pinpoints=((448, 448),), keep_aspect=False, pool=True, unpad=True, positions=True)
    config = VLMConfig(
        denoiser=denoiser, vision=vision, tiles=tiles, projector_hidden=16, projector_norm=True,
        family="lavida-mini", shared_image=True,
    )  # fmt: skip
    net = VLM(config)
    generator = torch.Generator().manual_seed(seed)
    net.reset(generator)
    with torch.no_grad():
        for p in net.denoiser.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.4, generator=generator)  # large enough that answers differ
    return SimpleNamespace(net=net.eval(), tokenizer=tokenizer, labels=LABELS)


def tiny_features(n: int, seed: int = 0, weights: tuple[float, ...] = (1, 1, 1, 1)) -> SimpleNamespace:
    """Maps [n, 5, 196, 80] in which each name is a direction; quacks like `data.features.Features`."""
    world, rng = SceneSampler.symbolic(), random.Random(seed)
    world.names = world.names[:4]
    scenes = [world.scene(rng, weights) for _ in range(n)]
    maps = torch.randn(n, 5, 196, 80, generator=torch.Generator().manual_seed(seed)) * 0.1
    directions = torch.randn(len(CONCEPTS), 80, generator=torch.Generator().manual_seed(99))
    for i, scene in enumerate(scenes):
        for o in scene.objects:
            maps[i] += directions[sorted(CONCEPTS).index(o.name)]
    records = [PictureRecord(scene=s, label=i % len(LABELS), probability=0.5) for i, s in enumerate(scenes)]
    return FakeFeatures(maps=maps, records=records)


class FakeFeatures(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.records)


def photo_list(folder: Path) -> Path:
    path = folder / "photos.json"
    path.write_text('[{"file": "x.jpg", "names": ["cat", "big cat"], "zh": ["猫"]}]')
    return path
