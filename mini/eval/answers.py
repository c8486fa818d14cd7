"""Answers of a model to question sets, and their figures."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from lavida.api import Model
from lavida.decode.driver import Driver, Job
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.diffusion.schedule import DEFAULT_SHIFT
from lavida.errors import ConfigError
from lavida.eval.metrics import Cider
from lavida.image.tiles import grid_of
from lavida.model.vlm import VLM
from lavida.text.chat import find_template
from lavida.text.labels import Label
from lavida.text.messages import IMAGE_ID
from lavida.text.prompt import hint_ids, question_ids
from lavida.text.tokenizer import Tokenizer
from lavida.text.words import exact
from mini.data.features import Features, PictureRecord
from mini.data.languages import LANGUAGES
from mini.data.scenes import Scene
from mini.eval.decode_batch import decode_batch, encode_pictures, picture_prompt
from mini.eval.metrics import noun_scores
from mini.eval.sets import KINDS, PictureQuestion, question_set

SHORT_CANVAS, CAPTION_CANVAS = 4, 16
PICTURES = 64  # encoded at a time


class AnsweringModel(Protocol):
    """Describe what is evaluated: `lavida.api.Model`, or a network in training with tokenizer and class names."""

    net: VLM
    tokenizer: Tokenizer
    labels: list[Label] | None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Hold canvas lengths and steps; None = one token a step."""

    short: int = SHORT_CANVAS
    caption: int = CAPTION_CANVAS
    steps: int | None = None
    hints: bool = True  # give the tower's first class name, as the model gets it in use

    def __post_init__(self) -> None:
        if min(self.short, self.caption, self.steps or 1) < 1:
            raise ConfigError(f"canvas lengths and steps must be at least 1, got {self}")

    def length(self, kind: str) -> int:
        """Return the canvas length of a kind of question."""
        return self.caption if kind == "caption" else self.short


def hint_tokens(model: AnsweringModel, records: Sequence[PictureRecord]) -> list[list[int]]:
    """Return the hint of each picture as tokens; empty ones for a model that has no class names."""
    if not model.labels:
        return [[] for _ in records]
    return [hint_ids(model.tokenizer, model.labels[t.label], t.probability) for t in records]


def answer_set(
    model: AnsweringModel,
    maps: Tensor,
    records: Sequence[PictureRecord],
    asked: Sequence[PictureQuestion],
    decoding: Decoding | None = None,
) -> list[str]:
    """Answer questions about pictures with trunk maps `maps` [N, V, 196, 80]; return the answers in order."""
    decoding = decoding or Decoding()
    config = model.net.config
    grid = grid_of(448, 448, config.vision, config.tiles)
    hints = hint_tokens(model, records) if decoding.hints else [[] for _ in records]
    answers = [""] * len(asked)
    pictures = sorted({a.picture for a in asked})
    for at in range(0, len(pictures), PICTURES):
        row_of = {p: i for i, p in enumerate(pictures[at : at + PICTURES])}
        denoiser = model.net.denoiser
        image_features = model.net.tower.features(maps[list(row_of)].to(denoiser.device, denoiser.dtype))
        encoded = encode_pictures(model.net, image_features, grid, [hints[p] for p in row_of])
        for length in sorted({decoding.length(a.question.kind) for a in asked}):
            chosen = [
                i for i, a in enumerate(asked) if a.picture in row_of and decoding.length(a.question.kind) == length
            ]
            prompts = [question_ids(model.tokenizer, asked[i].question.prompt) for i in chosen]
            rows = [row_of[asked[i].picture] for i in chosen]
            steps = min(decoding.steps or length, length)
            canvases = decode_batch(model.net, encoded, rows, prompts, length=length, steps=steps)
            for i, ids in zip(chosen, canvases, strict=True):
                answers[i] = model.tokenizer.decode(j for j in ids if j != model.tokenizer.mask_id)
    return answers


@torch.inference_mode()
def answer_pictures(
    model: Model, pictures: Iterable[Image.Image], asked: Sequence[PictureQuestion], decoding: Decoding
) -> list[str]:
    """Answer questions about pictures as `Model.ask` does, evidence included; return the answers in order."""
    net, tokenizer = model.net, model.tokenizer
    answers = [""] * len(asked)
    driver = Driver(net, rows=4096, exact=False)
    for number, picture in enumerate(pictures):
        own = [i for i, a in enumerate(asked) if a.picture == number]
        encoded = model.reader.images.encode(picture, net.config.tiles) if own else None
        jobs = []
        for i in own:
            length = decoding.length(asked[i].question.kind)
            ids = [IMAGE_ID, *question_ids(tokenizer, asked[i].question.prompt)]
            options = DecodeOptions(
                length=length, steps=min(decoding.steps or length, length), schedule="shift", shift=DEFAULT_SHIFT
            )
            jobs.append(Job(net, options, model.reader.read(ids, [encoded], room=length)))
        driver.run(jobs)
        for i, job in zip(own, jobs, strict=True):
            answers[i] = tokenizer.decode(j for j in job.loop.canvas.ids.tolist() if j != tokenizer.mask_id)
    return answers


def accuracy(asked: Sequence[PictureQuestion], answers: Sequence[str]) -> float:
    """Return the share of answers with the true words; nan of none."""
    right = [exact(text, a.question.answer) for a, text in zip(asked, answers, strict=True)]
    return sum(right) / len(right) if right else math.nan


def caption_figures(
    scenes: Sequence[Scene], asked: Sequence[PictureQuestion], answers: Sequence[str]
) -> dict[str, float]:
    """Compute CIDEr-D against the references of each scene, recall and precision of the names, exact match."""
    own_scenes = [scenes[a.picture] for a in asked]
    recall, precision = noun_scores(answers, [s.counts for s in own_scenes])
    cider = Cider([LANGUAGES[a.question.language].references(s) for a, s in zip(asked, own_scenes, strict=True)]).mean(
        answers
    )
    return {
        "cider": cider,
        "noun_recall": recall,
        "noun_precision": precision,
        "exact": accuracy(asked, answers),
    }


def evaluate_quickly(
    model: AnsweringModel,
    features: Features,
    n: int,
    *,
    seed: int = 0,
    decoding: Decoding | None = None,
    language: str = "en",
) -> dict[str, dict[str, float]]:
    """Ask a model in training every kind of question about the first n scenes; return figures and seconds."""
    start = time.perf_counter()
    scenes = [t.scene for t in features.records[:n]]
    sets = question_set(scenes, n, seed, language=language)
    flat = [a for kind in KINDS for a in sets[kind]]
    training = model.net.training
    model.net.eval()
    answers = iter(answer_set(model, features.maps, features.records[:n], flat, decoding))
    model.net.train(training)
    table: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        chosen = [next(answers) for _ in sets[kind]]
        table[kind] = {"n": len(chosen), "accuracy": accuracy(sets[kind], chosen)}
        if kind == "caption":
            table[kind] |= caption_figures(scenes, sets[kind], chosen)
    table["time"] = {"seconds": time.perf_counter() - start}
    return table


@torch.inference_mode()
def read_question(
    model: AnsweringModel, maps: Tensor, record: PictureRecord, question: str, *, prefix: Sequence[int] = ()
) -> Prompt:
    """Read a question about the picture with trunk maps [V, 196, 80], ready for `lavida.edit`.

    `prefix` is read as the beginning of the answer.
    """
    net = model.net
    image_features = net.tower.features(maps[None].to(net.denoiser.device, net.denoiser.dtype))
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    (picture,) = encode_pictures(net, image_features, grid, hint_tokens(model, [record]))
    prompt = picture_prompt(net, picture, [*question_ids(model.tokenizer, question), *prefix])
    prompt.tokenizer, prompt.template = model.tokenizer, find_template(net.config.family)
    return prompt
