"""Short trainings that claims compare: lavida-mini's own task on drawn scenes, from weights of an earlier day."""

from __future__ import annotations

import time
from pathlib import Path

from lavida.text.labels import load_labels
from lavida.text.tokenizer import Tokenizer
from lavida.train.trainer import Habits, Trainer
from mini.claims.setting import Setting
from mini.data.atlas import Atlas
from mini.data.features import Features
from mini.data.prepare import load_tower
from mini.eval.splits import SPLITS, TRAIN, split_features
from mini.train.batches import BatchBuilder
from mini.train.objectives import find_objective
from mini.train.run import export
from mini.train.stages import Stage
from mini.train.task import MiniTask

SPLIT = "i"


def train(
    setting: Setting,
    folder: Path,
    start: Path,
    *,
    steps: int,
    rows: int,
    seed: int,
    objective: str = "default",
) -> float:
    """Train one run and write its model to `folder / "model"`; return its processor seconds.

    The tower is frozen, and all pictures are drawn scenes. All runs of a seed are shown the same pictures in the same
    order. A run that was interrupted goes on; a finished one returns its seconds.
    """
    spent = folder / "seconds"
    if (folder / "model" / "tokenizer.json").exists() and spent.exists():
        return float(spent.read_text())
    tokenizer, labels = Tokenizer.load(start), load_labels(start) or []
    builder = BatchBuilder(
        tokenizer, labels, scenes=[maps_of(setting, "train")], d_model=384, objective=find_objective(objective)
    )
    stage = Stage(name="finetune", steps=steps, rows=rows, views=0)
    task = MiniTask(builder, tokenizer, load_tower(setting.data), [stage], seed=seed)
    trainer = Trainer(task, folder, habits=Habits(log=20), say=lambda line: None)
    if not trainer.resume():
        task.start_from(start)
    before, began = float(spent.read_text()) if spent.exists() else 0.0, time.process_time()
    try:
        trainer.run()
    finally:
        spent.write_text(str(before + time.process_time() - began))
    export(task.vlm, tokenizer, labels, folder / "model")
    return float(spent.read_text())


def maps_of(setting: Setting, name: str = SPLIT) -> Features:
    """Return maps of the trunk of a split, or of the training scenes."""
    split = TRAIN if name == "train" else SPLITS[name]
    return split_features(Atlas.load(setting.data), setting.data / "features" / name, split, load_tower(setting.data))
