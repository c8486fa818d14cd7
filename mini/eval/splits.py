"""The held-out splits: scenes from cut-outs that training never saw, or saw in other scenes; maps of the trunk."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from mini.data.atlas import Atlas
from mini.data.features import Features, write_features
from mini.data.prepare import drawn_scenes
from mini.data.scenes import Scene


@dataclass(frozen=True, kw_only=True)
class Split:
    """Name the cut-outs of the atlas, the number of scenes and the seed of a split."""

    cutouts: str  # the atlas's own word for them
    scenes: int
    seed: int
    title: str


SPLITS = {
    "i": Split(cutouts="train", scenes=300, seed=9001, title="(i) new scenes of trained cut-outs"),
    "ii_style": Split(cutouts="heldout_style", scenes=240, seed=9002, title="(ii) unseen drawing style (twemoji)"),
    "ii_image": Split(cutouts="heldout_image", scenes=200, seed=9003, title="(ii) unseen cut-outs of known styles"),
    "iii": Split(cutouts="unseen_concept", scenes=120, seed=9004, title="(iii) unseen concepts"),
}
TRAIN = Split(cutouts="train", scenes=3000, seed=9000, title="training scenes of the baselines")


def pictures(atlas: Atlas, split: Split) -> Iterator[tuple[torch.Tensor, Scene, str]]:
    """Yield the scenes of a split with their pixels, the same ones every time."""
    return itertools.islice(drawn_scenes(atlas, split.cutouts, split.seed, (1, 1, 1, 1)), split.scenes)


def drawn_pictures(atlas: Atlas, split: Split) -> Iterator[Image.Image]:
    """Yield the scenes of a split as pictures."""
    for picture, _, _ in pictures(atlas, split):
        yield Image.fromarray(picture.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy())


def split_features(
    atlas: Atlas, folder: Path, split: Split, tower: torch.nn.Module, log: Callable[[str], None] = print
) -> Features:
    """Return maps of a split in `folder`; draw and encode what is missing, resumably."""
    truth = folder / "truth.jsonl"
    done = len(truth.read_text().splitlines()) if truth.exists() else 0
    if done < split.scenes:
        log(f"{split.title}: {split.scenes - done} pictures to encode")
        rest = itertools.islice(pictures(atlas, split), done, None)
        write_features(folder, rest, tower, log=log)
    return Features(folder)
