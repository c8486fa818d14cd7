"""Captions of held-out scenes, several written side by side, and their CIDEr-D by seed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lavida.api import Model
from lavida.calibrate import resolve
from lavida.decode.driver import Driver, Job
from lavida.decode.prompt import Prompt
from lavida.eval.metrics import Cider
from mini.data.atlas import Atlas
from mini.data.questions import prompt_of
from mini.data.scenes import Scene
from mini.eval.calibration import references_of, written_text
from mini.eval.splits import Split, drawn_pictures, pictures

FIRST_SEED = 9200  # of the drawing; apart from the splits' and the training's
_TOGETHER = 20  # answers that share their passes


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Hold held-out scenes of one seed: new scenes of trained cut-outs, as split (i)."""

    scenes: list[Scene]
    pictures: list[Image.Image]


@dataclass(frozen=True, kw_only=True)
class Written:
    """Hold one answer and its forward passes."""

    text: str
    passes: int


def draw(data: Path, n: int, seeds: int) -> list[Drawn]:
    """Draw n scenes of each seed. Raises DataError without the built data."""
    atlas, found = Atlas.load(data), []
    for seed in range(seeds):
        split = Split(cutouts="train", scenes=n, seed=FIRST_SEED + seed, title="")
        shown = list(drawn_pictures(atlas, split))
        found.append(Drawn(scenes=[scene for _, scene, _ in pictures(atlas, split)], pictures=shown))
    return found


class Captions:
    """Captions of drawn scenes by one model; a prompt is read once, whatever is tried behind it."""

    def __init__(self, model: Model, drawn: Sequence[Drawn], kind: str) -> None:
        self.model = model
        self._prompts = [[model.read(picture, prompt_of(kind)) for picture in own.pictures] for own in drawn]
        self._cider = Cider([references_of(scene, kind) for own in drawn for scene in own.scenes])
        self._sizes = [len(own.scenes) for own in drawn]

    def write(self, options: Mapping[str, Any]) -> list[list[Written]]:
        """Write the captions of every seed."""
        return [write(self.model, prompts, {**options, "seed": seed}) for seed, prompts in enumerate(self._prompts)]

    def scores(self, written: Sequence[Sequence[Written]]) -> list[list[float]]:
        """Return the CIDEr-D of each caption, by seed; document frequencies are those of all seeds together."""
        values = iter(self._cider.score([one.text for own in written for one in own]))
        return [list(itertools.islice(values, size)) for size in self._sizes]


@torch.inference_mode()
def write(model: Model, prompts: Sequence[Prompt], options: Mapping[str, Any]) -> list[Written]:
    """Answer prompts that were read with the model's cache."""
    chosen, driver = resolve(model, options), Driver(model.net, rows=4096, exact=False)
    found: list[Written] = []
    for at in range(0, len(prompts), _TOGETHER):
        jobs = [Job(model.net, chosen, prompt) for prompt in prompts[at : at + _TOGETHER]]
        driver.run(jobs)
        found += [Written(text=text_of(model, job), passes=job.last.forwards) for job in jobs if job.last]
    return found


def text_of(model: Model, job: Job) -> str:
    """Return what a finished job wrote."""
    return written_text(model, job.loop.canvas.ids)


def passes(written: Sequence[Sequence[Written]]) -> float:
    """Return the mean number of forward passes."""
    flat = [one.passes for own in written for one in own]
    return sum(flat) / len(flat)
