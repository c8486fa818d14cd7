"""lavida-mini from its data set to a model folder, in one call that can be interrupted and repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lavida.checkpoint.io import save_checkpoint
from lavida.errors import DataError
from lavida.model.vlm import VLM
from lavida.text.labels import Label, load_labels, save_labels
from lavida.text.tokenizer import Tokenizer
from lavida.train import distributed as parallel
from lavida.train.trainer import Habits, Trainer
from mini.data.corpus import VOCABULARY, chinese_words, corpus
from mini.data.prepare import load_tower, prepare
from mini.train.batches import BatchBuilder
from mini.train.objectives import find_objective
from mini.train.stages import Stage, mini_stages
from mini.train.task import MiniTask


def train_mini(
    data: Path,
    out: Path,
    *,
    minutes: float | None = None,
    scenes: int = 14000,
    seed: int = 0,
    device: str = "cpu",
    start: Path | None = None,
    compiled: bool = False,
    objective: str = "default",
    stages: Sequence[Stage] | None = None,
    log: Callable[[str], None] = print,
) -> bool:
    """Train in `out`; return True once the model folder `out/model` is written, False if the minutes ran out before.

    Args:
        data: The folder that `python -m mini build` wrote.
        out: The folder of the run; a checkpoint in it is resumed.
        minutes: Stop after this time, with a checkpoint.
        scenes: Drawn scenes for training.
        seed: Seed of everything random.
        device: The device of PyTorch.
        start: A model folder of the same shape to go on from by the last stage alone; its tokenizer is taken too.
        compiled: Put the blocks through torch.compile, which needs a C++ compiler.
        objective: A name of `objectives.OBJECTIVES`.
        stages: The stages. Default: `stages.mini_stages`.
        log: Receives lines of progress.

    Raises:
        DataError: The data set is not built, or the run's checkpoint is broken.
        CheckpointError: `start` does not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    labels = load_labels(start or data)  # a model goes on with the names and languages that it has
    if labels is None:
        raise DataError(f"no labels.json in {data}: build the data first (python -m mini build)")
    stages = stages or (mini_stages() if start is None else mini_stages()[-1:])
    if start is not None:
        Tokenizer.load(start).save(out)
    elif not (out / "tokenizer.json").exists():
        log("learning the tokenizer")
        glosses = (data / "glosses.txt").read_text(encoding="utf-8").splitlines()
        Tokenizer.train(corpus(labels, glosses), VOCABULARY, chinese_words(labels)).save(out)
    tokenizer = Tokenizer.load(out)
    drawn, photos = prepare(data, scenes=scenes, log=log)
    builder = BatchBuilder(
        tokenizer, labels, scenes=drawn, photos=photos, d_model=384, objective=find_objective(objective)
    )
    task = MiniTask(builder, tokenizer, load_tower(data), stages, seed=seed, device=device)
    parallel.prepare(task.module, compile=compiled)
    trainer = Trainer(task, out, habits=Habits(log=20), device=device, say=log)
    if trainer.resume():
        log(f"going on at stage {trainer.stage}, step {trainer.step}")
    elif start is not None:
        task.start_from(start)
    if not trainer.run(minutes=float("inf") if minutes is None else minutes):
        log(f"stopped in time; run the same command again to go on from {out}")
        return False
    export(task.vlm, tokenizer, labels, out / "model")
    log(f"the model is in {out / 'model'}")
    return True


def export(vlm: VLM, tokenizer: Tokenizer, labels: Sequence[Label], out: Path, *, borrows: Path | None = None) -> None:
    """Write a model folder: weights in bfloat16, tokenizer, class names.

    `borrows` is a model with the same pretrained tower, which is left out then.
    """
    save_checkpoint(vlm, out, dtype=torch.bfloat16, borrows=borrows)
    tokenizer.save(out)
    save_labels(list(labels), out)
