"""Baselines: a constant, the nearest training scene, a linear probe, the tower's own classes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.errors import DataError
from lavida.model.efficientnet import EfficientNetLite0
from lavida.text.words import words
from mini.data.features import Features, PictureRecord
from mini.data.languages import LANGUAGES
from mini.data.scenes import Scene
from mini.eval.sets import PictureQuestion, draw_fact, phrase_as

_TRIES = 24  # draws before a scene counts as one that the question does not fit
Pooled = dict[str, Tensor]  # "global" [N, C] and "views" [N, V * C]


@torch.inference_mode()
def pool_features(features: Features, tower: EfficientNetLite0, batch: int = 64) -> Pooled:
    """Average the pretrained tower's features over cells: of the global view, and of every view side by side."""
    dtype = next(tower.parameters()).dtype
    means = torch.cat([tower.pretrained_features(m.to(dtype)).float().mean(2) for m in features.maps.split(batch)])
    return {"global": means[:, 0].contiguous(), "views": means.flatten(1)}


@dataclass(frozen=True, kw_only=True)
class TrainingScenes:
    """Hold training scenes with their pooled features."""

    scenes: list[Scene]
    pooled: Pooled

    @classmethod
    def from_features(cls, folders: Sequence[Features], tower: EfficientNetLite0) -> TrainingScenes:
        """Pool the features of folders of training scenes. Raises DataError if there are none."""
        if not sum(map(len, folders)):
            raise DataError("no training scenes for the baselines; extract features of some first")
        parts = [pool_features(f, tower) for f in folders]
        scenes = [t.scene for f in folders for t in f.records]
        return cls(scenes=scenes, pooled={k: torch.cat([p[k] for p in parts]) for k in parts[0]})


def constant(asked: Sequence[PictureQuestion], constants: dict[str, str]) -> list[str]:
    """Give the same answer to every question of a kind."""
    return [constants.get(q.question.kind, "") for q in asked]


def neighbours(train: Tensor, test: Tensor, allowed: Tensor | None = None) -> list[int]:
    """Return the index of the most similar training row [N, C] by cosine for each test row.

    `allowed` [N] limits the choice.
    """
    centre = train.mean(0)
    scores = F.normalize(test - centre, dim=-1) @ F.normalize(train - centre, dim=-1).T
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.argmax(1).tolist()


def nearest(
    asked: Sequence[PictureQuestion], pooled: Pooled, train: TrainingScenes, constants: dict[str, str]
) -> list[str]:
    """Answer about the nearest training scene by the pooled global view, as if it were the picture asked about.

    Questions of a single object take the nearest scene with one object. Where the neighbour knows no answer (its
    objects are others), the constant answers.
    """
    pictures = pooled["global"]
    single = torch.tensor([len(s.objects) == 1 for s in train.scenes])
    near = {
        alone: neighbours(train.pooled["global"], pictures, single if alone and single.any() else None)
        for alone in (False, True)
    }
    answers = []
    for q in asked:
        scene = train.scenes[near[q.question.kind in ("name", "kind")][q.picture]]
        answers.append(_from_scene(q, scene, constants))
    return answers


def _from_scene(asked: PictureQuestion, scene: Scene, constants: dict[str, str]) -> str:
    question = asked.question
    if question.kind == "caption":
        return LANGUAGES[question.language].caption(scene)
    if question.kind == "presence":
        return LANGUAGES[question.language].yes_no(bool(set(question.names) & set(scene.counts)))
    rng = random.Random(0)
    same_form = question.kind in ("name", "kind", "total")  # paraphrases of one question
    for _ in range(_TRIES):
        fact = draw_fact(scene, question.kind, rng)
        drawn = phrase_as(fact, question.kind, question.language) if fact is not None else None
        if drawn is not None and (same_form or drawn.prompt == question.prompt):
            return drawn.answer
    return constants.get(question.kind, "")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Predict names from standardised features by softmax regression."""

    names: list[str]
    mean: Tensor  # [C]
    scale: Tensor  # [C]
    weight: Tensor  # [K, C]
    bias: Tensor  # [K]
    decay: float  # chosen on a tenth of the training scenes

    def __call__(self, x: Tensor) -> list[str]:
        """Return the likeliest name of each row [N, C]."""
        logits = F.linear((x - self.mean) / self.scale, self.weight, self.bias)
        return [self.names[i] for i in logits.argmax(1).tolist()]


def fit_probe(
    x: Tensor, names: Sequence[str], *, seed: int = 0, decays: Sequence[float] = (3e-4, 3e-3, 3e-2), steps: int = 60
) -> Probe:
    """Fit a probe of features [N, C]; the weight decay is chosen on a tenth held back, then all rows are used."""
    classes = sorted(set(names))
    y = torch.tensor([classes.index(n) for n in names])
    mean, scale = x.mean(0), x.std(0).clamp(min=1e-6) if len(x) > 1 else torch.ones(x.shape[1])
    z = (x - mean) / scale
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
    validation, rest = order[: len(z) // 10], order[len(z) // 10 :]
    scores = []
    for decay in decays if len(validation) else decays[:1]:
        weight, bias = _regress(z[rest], y[rest], len(classes), decay, steps)
        right = (
            (F.linear(z[validation], weight, bias).argmax(1) == y[validation]).float().mean()
            if len(validation)
            else torch.zeros(())
        )
        scores.append((float(right), decay))
    decay = max(scores)[1]
    weight, bias = _regress(z, y, len(classes), decay, steps)
    return Probe(names=classes, mean=mean, scale=scale, weight=weight, bias=bias, decay=decay)


def _regress(x: Tensor, y: Tensor, n_classes: int, decay: float, steps: int) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(n_classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(n_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(x, weight, bias), y) + decay / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weight.detach(), bias.detach()


def fit_probes(train: TrainingScenes, *, seed: int = 0) -> dict[str, Probe]:
    """Fit a probe of the global view and one of all views, on the training scenes of one object. Raises DataError."""
    rows = [i for i, s in enumerate(train.scenes) if len(s.objects) == 1]
    if not rows:
        raise DataError("no training scene has a single object, so a linear probe cannot be trained")
    names = [train.scenes[i].objects[0].name for i in rows]
    return {view: fit_probe(x[rows], names, seed=seed) for view, x in train.pooled.items()}


def probe_names(asked: Sequence[PictureQuestion], pooled: Tensor, probe: Probe) -> list[str]:
    """Return the probe's name for each question, in the words of an answer."""
    names = probe(pooled[[q.picture for q in asked]]) if asked else []
    return [LANGUAGES[q.question.language].one(n) for q, n in zip(asked, names, strict=True)]


def tower_right(
    records: Sequence[PictureRecord], asked: Sequence[PictureQuestion], labels: Sequence[str]
) -> list[bool]:
    """Report for each question whether the tower's first class has the true name of the object among its words."""
    return [records[q.picture].scene.objects[0].name in words(labels[records[q.picture].label]) for q in asked]
