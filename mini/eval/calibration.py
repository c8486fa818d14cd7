"""The exam that settings of lavida-mini are calibrated by: captions of drawn scenes, judged by CIDEr-D."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from lavida.api import Model
from lavida.calibrate import Exam, ExamAnswer, Options, resolve
from lavida.decode.driver import Job, job_steps
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.decode.request import tokens_per_forward
from lavida.eval.metrics import Cider
from mini.data.atlas import Atlas
from mini.data.facts import Fact
from mini.data.features import Features
from mini.data.languages import LANGUAGES
from mini.data.questions import phrase, prompt_of
from mini.data.scenes import Scene
from mini.eval.answers import read_question
from mini.eval.splits import Split, split_features

# Drawn apart from the evaluation's splits: what is tuned on a picture is not judged on it.
SPLIT = Split(cutouts="train", scenes=200, seed=9010, title="scenes for calibration")


def captions_exam(model: Model, data: Path, n: int, log: Callable[[str], None] = print) -> Exam:
    """Return an exam of captions of drawn scenes against their references. Raises DataError without the built data."""
    features = split_features(Atlas.load(data), data / "features" / "calibration", SPLIT, model.net.tower, log)
    return captions_of(model, features, min(n, len(features)))


def captions_of(model: Model, features: Features, n: int, kind: str = "caption") -> Exam:
    """Return an exam of captions, or of the "detailed" ones, of the first n scenes; each picture is encoded once."""
    cider = Cider([references_of(truth.scene, kind) for truth in features.records[:n]])

    @functools.cache
    def read(i: int) -> Prompt:
        return read_question(model, features.maps[i], features.records[i], prompt_of(kind))

    def answers(options: Options) -> Iterator[ExamAnswer]:
        return (write_caption(model, read(i), resolve(model, options)) for i in range(n))

    title = "captions" if kind == "caption" else f"{kind} captions"
    return Exam(measure=f"CIDEr-D of {n} held-out {title}", answers=answers, judge=cider.mean)


def references_of(scene: Scene, kind: str) -> list[str]:
    """Return the right captions of a scene: several of a "caption", one of a "detailed" one."""
    return LANGUAGES["en"].references(scene) if kind == "caption" else [phrase(Fact(kind=kind, scene=scene)).answer]


@torch.inference_mode()
def write_caption(model: Model, prompt: Prompt, options: DecodeOptions) -> ExamAnswer:
    """Write one caption."""
    *_, last = job_steps(Job(model.net, options, prompt))
    tokens = tokens_per_forward(last, model.net.config) * last.forwards
    return ExamAnswer(text=written_text(model, last.canvas), passes=last.forwards, tokens=tokens)


def written_text(model: Model, canvas: Tensor) -> str:
    """Return the text of a canvas of token ids [L], without what is masked."""
    return model.tokenizer.decode(i for i in canvas.tolist() if i != model.tokenizer.mask_id)
