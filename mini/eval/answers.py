"""Runs a model over question sets and reduces the answers to figures."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from lavida.eval.metrics import Cider, exact
from lavida.image.tiles import grid_of
from lavida.model.vlm import VLM
from lavida.text.labels import Label
from lavida.text.prompt import hint_ids, question_ids
from lavida.text.tokenizer import Tokenizer
from mini.data.features import Features, Truth
from mini.data.languages import LANGUAGES
from mini.data.scenes import Scene
from mini.eval.batch import encode_pictures, fill_answers
from mini.eval.metrics import noun_scores
from mini.eval.sets import KINDS, Asked, question_set

SHORT_CANVAS, CAPTION_CANVAS = 4, 16
_PICTURES = 64  # encoded at a time


class Reader(Protocol):
    """What is evaluated: `lavida.api.Model`, or the network being trained with its tokenizer and class names."""

    net: VLM
    tokenizer: Tokenizer
    labels: list[Label] | None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Canvas lengths and steps; None = one token a step."""

    short: int = SHORT_CANVAS
    caption: int = CAPTION_CANVAS
    steps: int | None = None
    hints: bool = True  # give the tower's first class name, as the model gets it in use

    def __post_init__(self) -> None:
        if min(self.short, self.caption, self.steps or 1) < 1:
            from lavida.errors import ConfigError

            raise ConfigError(f"canvas lengths and steps must be at least 1, got {self}")

    def length(self, kind: str) -> int:
        return self.caption if kind == "caption" else self.short


def hints_of(model: Reader, truths: Sequence[Truth]) -> list[list[int]]:
    """The hint of each picture as tokens; empty ones for a model that has no class names."""
    if not model.labels:
        return [[] for _ in truths]
    return [hint_ids(model.tokenizer, model.labels[t.label], t.probability) for t in truths]


def answer_set(
    model: Reader, maps: Tensor, truths: Sequence[Truth], asked: Sequence[Asked], decoding: Decoding | None = None
) -> list[str]:
    """The model's answers to questions about pictures with trunk maps `maps` [N, V, 196, 80], in order."""
    decoding = decoding or Decoding()
    config = model.net.config
    grid = grid_of(448, 448, config.vision, config.tiles)
    hints = hints_of(model, truths) if decoding.hints else [[] for _ in truths]
    answers = [""] * len(asked)
    pictures = sorted({a.picture for a in asked})
    for at in range(0, len(pictures), _PICTURES):
        row_of = {p: i for i, p in enumerate(pictures[at : at + _PICTURES])}
        seen = model.net.tower.features(maps[list(row_of)].to(model.net.denoiser.embedding.weight))
        prefixes = encode_pictures(model.net, seen, grid, [hints[p] for p in row_of])
        for length in sorted({decoding.length(a.question.kind) for a in asked}):
            mine = [
                i for i, a in enumerate(asked) if a.picture in row_of and decoding.length(a.question.kind) == length
            ]
            prompts = [question_ids(model.tokenizer, asked[i].question.prompt) for i in mine]
            rows = [row_of[asked[i].picture] for i in mine]
            steps = min(decoding.steps or length, length)
            canvases = fill_answers(model.net, prefixes, rows, prompts, length=length, steps=steps)
            for i, ids in zip(mine, canvases, strict=True):
                answers[i] = model.tokenizer.decode(j for j in ids if j != model.tokenizer.mask_id)
    return answers


def accuracy(asked: Sequence[Asked], answers: Sequence[str]) -> float:
    """Share of answers with the true words; nan of none."""
    right = [exact(text, a.question.answer) for a, text in zip(asked, answers, strict=True)]
    return sum(right) / len(right) if right else math.nan


def caption_figures(scenes: Sequence[Scene], asked: Sequence[Asked], answers: Sequence[str]) -> dict[str, float]:
    """CIDEr-D against the references of each scene, recall and precision of the names, exact match."""
    shown = [scenes[a.picture] for a in asked]
    recall, precision = noun_scores(answers, [s.counts for s in shown])
    cider = Cider([LANGUAGES[a.question.language].references(s) for a, s in zip(asked, shown, strict=True)]).mean(
        answers
    )
    return {
        "cider": cider,
        "noun_recall": recall,
        "noun_precision": precision,
        "exact": accuracy(asked, answers),
    }


def quick(
    model: Reader, features: Features, n: int, *, seed: int = 0, decoding: Decoding | None = None, language: str = "en"
) -> dict[str, dict[str, float]]:
    """A glance at a model in training: every kind of question on the first n scenes, and the seconds it took."""
    start = time.perf_counter()
    scenes = [t.scene for t in features.truths[:n]]
    sets = question_set(scenes, n, seed, language=language)
    flat = [a for kind in KINDS for a in sets[kind]]
    training = model.net.training
    model.net.eval()
    answers = iter(answer_set(model, features.maps, features.truths[:n], flat, decoding))
    model.net.train(training)
    table: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        mine = [next(answers) for _ in sets[kind]]
        table[kind] = {"n": len(mine), "accuracy": accuracy(sets[kind], mine)}
        if kind == "caption":
            table[kind] |= caption_figures(scenes, sets[kind], mine)
    table["time"] = {"seconds": time.perf_counter() - start}
    return table
