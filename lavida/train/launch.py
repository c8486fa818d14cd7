"""From the words of a command to a trained model in a folder: what `lavida train RECIPE` does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from lavida.api import Model, find_model, load
from lavida.checkpoint.contents import survey
from lavida.checkpoint.convert import copy_others
from lavida.checkpoint.io import save_checkpoint
from lavida.data.mixture import Ingredient, Mixture
from lavida.data.sources import open_source
from lavida.errors import ConfigError, RequestError, check_seed
from lavida.train.board import Board
from lavida.train.finetune import Finetune
from lavida.train.parallel import PRECISIONS, prepare, processes, whole_state
from lavida.train.processes import rank, world
from lavida.train.recipes import Portion, Recipe
from lavida.train.trainer import Habits, Trainer

MOST_HELD_OUT = 32
_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a recipe is run; nothing of it changes what is learnt, but for rounding, seed and data."""

    model: str = "lavida-mini"
    data: tuple[str, ...]  # files, each with "=WEIGHT" behind it or none
    images: Path | None = None
    held_out: int | None = None  # samples of the first file; None = a tenth, at most MOST_HELD_OUT
    out: Path
    micro: int = 8
    seed: int = 0
    device: str = "cpu"
    precision: str = "bfloat16"
    workers: int = 0
    minutes: float | None = None
    habits: Habits = Habits()
    shard: int = 0
    checkpointing: bool = False
    compile: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not self.data:
            raise RequestError("there is nothing to learn from; give --data FILE")
        if self.micro < 1 or self.workers < 0 or (self.held_out or 0) < 0:
            raise RequestError("--micro must be at least 1, --workers and --held-out at least 0")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"unknown precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}")


def train(recipe: Recipe, options: Options, *, say: Callable[[str], None] = print) -> bool:
    """Run a recipe; True once `out/model` is written, False if the minutes ran out before.

    Raises the errors of its parts: CheckpointError, DataError, ConfigError, RequestError, TrainingError.
    """
    mixture = mix(recipe, options)
    with processes(options.device) as device:
        torch.manual_seed(options.seed)
        model = load(options.model, dtype="float32", device=str(device))
        task = Finetune(
            model,
            mixture,
            recipe,
            micro=options.micro,
            seed=options.seed,
            device=device,
            precision=options.precision,
            workers=options.workers,
            rank=rank(),
            world=world(),
            pictures=options.out / "held-out",
        )
        prepare(
            task.module,
            shard=options.shard,
            precision=options.precision,
            checkpointing=options.checkpointing,
            compile=options.compile,
        )
        trainer = Trainer(
            task, options.out, habits=options.habits, device=device, dtype=PRECISIONS[options.precision], say=say
        )
        if trainer.resume():
            trainer.display.note(f"going on at step {trainer.total}")
        if options.tensorboard and rank() == 0:
            trainer.log.watchers = (Board(options.out, since=trainer.total),)
        if not trainer.run(minutes=math.inf if options.minutes is None else options.minutes):
            trainer.display.note(f"stopped in time; run the same command again to go on from {options.out}")
            return False
        export(task, model, find_model(options.model), options.out / "model")
        trainer.display.note(f"the model is in {options.out / 'model'}")
        return True


def mix(recipe: Recipe, options: Options) -> Mixture:
    """The user's files as the recipe's mixture takes them: each by the portion of its name, if there is one."""
    portions = {portion.name: portion for portion in recipe.mixture}
    ingredients = []
    for place, spec in enumerate(options.data):
        path, weight = _weighed(spec)
        source = open_source(path, images=options.images)
        portion = portions.get(Path(path).name.split(".")[0].lower(), Portion(name=""))
        held_out = 0
        if place == 0:
            held_out = options.held_out
            held_out = min(MOST_HELD_OUT, len(source) // 10) if held_out is None else held_out
        left = len(source) - held_out
        ingredients.append(
            Ingredient(
                source=source,
                weight=weight,
                take=None if portion.take is None else min(portion.take, left),
                held_out=held_out,
                suffix=portion.suffix,
                suffix_share=portion.suffix_share,
            )
        )
    return Mixture(ingredients)


def _weighed(spec: str) -> tuple[str, float | None]:
    """ "captions.jsonl=2" is the file captions.jsonl with weight 2."""
    path, equals, weight = spec.rpartition("=")
    try:
        return (path, float(weight)) if equals else (spec, None)
    except ValueError:  # an equals sign in a path
        return spec, None


def export(task: Finetune, model: Model, source: Path, out: Path) -> None:
    """The trained model as a folder for `lavida.load`: its weights as they were stored, and what else it came with."""
    weights = {name.removeprefix("vlm."): tensor for name, tensor in whole_state(task.module).items()}
    if rank() != 0:
        return
    stored = survey(source).tensors["denoiser.embedding.weight"].dtype
    model.net.config = task.answering
    save_checkpoint(model.net, out, dtype=_DTYPES.get(stored, torch.float32), weights=weights)
    copy_others(source, out)
