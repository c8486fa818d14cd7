"""Features for training: the tower's maps of drawn scenes and of crops of photographs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from lavida.errors import DataError
from lavida.model.efficientnet import EfficientNetLite0
from mini.data.atlas import Atlas
from mini.data.features import Features, write_features
from mini.data.render import hue_colour, render_scene
from mini.data.scenes import Scene
from mini.data.worlds import CutoutInfo, SceneSampler

WEIGHTS = (1.2, 1, 1, 1)  # scenes of one, two, three and four objects
# Share of the scenes that are kept for training, by how often their commonest thing comes: counting is learnt where
# things repeat, and few scenes have three or four of one name.
KEPT = {1: 0.5, 2: 0.8}
Log = Callable[[str], None]


def load_tower(data: Path) -> EfficientNetLite0:
    """Load the pretrained tower, batch norms folded, bfloat16. Raises DataError without built data."""
    path = data / "tower.safetensors"
    if not path.exists():
        raise DataError(f"no tower.safetensors in {data}: build the data first (python -m mini build)")
    tower = EfficientNetLite0()
    tower.load_state_dict(load_file(path))
    return tower.eval().fuse().to(torch.bfloat16)


def sampler_of(atlas: Atlas, split: str) -> SceneSampler:
    """Return a sampler of scenes from the cut-outs of one split. Raises DataError if there are none."""
    rows = {r["index"]: r for r in atlas.rows if r["split"] == split}
    if not rows:
        raise DataError(f"the atlas {atlas.folder} has no cut-outs of the split {split}; build the data again")

    @lru_cache(None)
    def recolour(i: int, degrees: float) -> str | None:
        return hue_colour(atlas, rows[i], degrees)

    chosen = [CutoutInfo(index=i, name=r["concept"], colour=r["colour"], aspect=r["aspect"]) for i, r in rows.items()]
    return SceneSampler(chosen, backgrounds=len(atlas.backgrounds), recolour=recolour)


def drawn_scenes(
    atlas: Atlas, split: str, seed: int, weights: tuple[float, ...], kept: Mapping[int, float] | None = None
) -> Iterator[tuple[Tensor, Scene, str]]:
    """Yield scenes without end, with their pixels [3, 448, 448]; `kept` as KEPT, 1 for missing keys."""
    sampler, rng = sampler_of(atlas, split), random.Random(seed)
    while True:
        scene = sampler.scene(rng, weights)
        if kept and rng.random() >= kept.get(max(scene.counts.values()), 1):
            continue
        yield render_scene(scene, atlas, rng.randrange(1 << 30)), scene, ""


def photo_crops(atlas: Atlas, crops: int, seed: int) -> Iterator[tuple[Tensor, None, str]]:
    """Yield each photograph whole, then random crops as another camera might take them, stretched to [3, 448, 448]."""
    rng = random.Random(seed)
    for k, i in itertools.product(range(crops), range(len(atlas.photos))):
        picture = atlas.photo(i).float()
        if k:
            picture = _another_camera(_crop(picture, rng), rng)
        stretched = F.interpolate(picture[None], (448, 448), mode="bicubic", antialias=True)
        yield stretched.clamp(0, 255).to(torch.uint8)[0], None, f"photo {i}"


def _crop(picture: Tensor, rng: random.Random) -> Tensor:
    _, high, wide = picture.shape
    share = rng.uniform(0.4, 1)
    h, w = int(high * min(1, share * rng.uniform(0.8, 1.25))), int(wide * share)
    top, left = rng.randint(0, high - h), rng.randint(0, wide - w)
    return picture[:, top : top + h, left : left + w]


def _another_camera(picture: Tensor, rng: random.Random) -> Tensor:
    """Mirror a picture [3, H, W] of 0 to 255, remove its colour, or change its contrast and brightness."""
    if rng.random() < 0.5:
        picture = picture.flip(2)
    if rng.random() < 0.15:
        picture = picture.mean(0, keepdim=True).expand_as(picture)
    middle = picture.mean()
    return (picture - middle) * rng.uniform(0.6, 1.3) + middle * rng.uniform(0.7, 1.2)


def prepare(data: Path, *, scenes: int, crops: int = 8, log: Log = print) -> tuple[list[Features], Features]:
    """Return features of training scenes and photographs below `data`; what is there already is kept."""
    atlas, tower, folder = Atlas.load(data), load_tower(data), data / "features"
    for name, total, source in (
        ("train", scenes, drawn_scenes(atlas, "train", 101, WEIGHTS, KEPT)),
        ("photos", crops * len(atlas.photos), photo_crops(atlas, crops, 7)),
    ):
        truth = folder / name / "truth.jsonl"
        done = len(truth.read_text().splitlines()) if truth.exists() else 0
        if done < total:
            log(f"{name}: {total - done} pictures through the tower")
            write_features(folder / name, itertools.islice(source, done, total), tower, log=log)
    return [Features(folder / "train")], Features(folder / "photos")
