"""Train by a recipe and write the model: the work of `lavida train RECIPE`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lavida.api import load
from lavida.checkpoint.convert import copy_others
from lavida.checkpoint.inventory import survey
from lavida.checkpoint.io import save_checkpoint
from lavida.checkpoint.named import MODELS, find_model
from lavida.data.mixture import Ingredient, Mixture
from lavida.data.sources import open_source
from lavida.errors import ConfigError, RequestError, check_seed
from lavida.model.placement import is_as_trained
from lavida.train.distributed import PRECISIONS, prepare, processes, rank, whole_state, world
from lavida.train.finetune import Finetune
from lavida.train.log import TensorBoard
from lavida.train.lora import PREFIX, Lora, merge_adapters, save_adapters
from lavida.train.recipes import Portion, Recipe
from lavida.train.trainer import Habits, Trainer

MOST_HELD_OUT = 32
_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a recipe is run; only rounding, seed and data change what is learnt."""

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
    lora: int | None = None  # rank of adapters that learn in place of the weights
    quantize: str | None = None  # the weights under the adapters, packed

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not self.data:
            raise RequestError("there is nothing to learn from; give --data FILE")
        if self.micro < 1 or self.workers < 0 or (self.held_out or 0) < 0:
            raise RequestError("--micro must be at least 1, --workers and --held-out at least 0")
        if self.minutes is not None and not self.minutes >= 0:
            raise RequestError(f"--minutes must be at least 0, got {self.minutes}")
        if self.quantize is not None and self.lora is None:
            raise RequestError("packed weights do not learn; give --lora RANK as well")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"unknown precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}")


def train(recipe: Recipe, options: Options, *, say: Callable[[str], None] = print) -> bool:
    """Run a recipe; return True once `out/model` is written, False if the minutes ran out before.

    Raises:
        LavidaError: A CheckpointError, DataError, ConfigError, RequestError or TrainingError of one of the parts.
    """
    with processes(options.device) as device:
        mixture = mix(recipe, options)
        torch.manual_seed(options.seed)
        model = load(options.model, dtype="float32", device=str(device), quantize=options.quantize)
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
            lora=None if options.lora is None else Lora(rank=options.lora, alpha=2.0 * options.lora),
        )
        prepare(
            task.module,
            shard=options.shard,
            precision=options.precision,
            checkpointing=options.checkpointing,
            compile=options.compile,
        )
        trainer = Trainer(
            task,
            options.out,
            habits=options.habits,
            device=device,
            dtype=PRECISIONS[options.precision],
            facts={"recipe": recipe.name, "model": options.model, "data": list(options.data), "seed": options.seed},
            fixed=_fixed(recipe, options, mixture, task),
            changeable=_changeable(recipe, options, mixture),
            say=say,
        )
        if trainer.resume():
            trainer.display.note(f"going on at step {trainer.total}")
        if options.tensorboard and rank() == 0:
            trainer.log.watchers = (TensorBoard(options.out, since=trainer.total),)
        if not trainer.run(minutes=math.inf if options.minutes is None else options.minutes):
            trainer.display.note(f"stopped in time; run the same command again to go on from {options.out}")
            return False
        for kind, folder in export(task, find_model(options.model), options.out).items():
            trainer.display.note(f"the {kind} is in {folder}")
        return True


def mix(recipe: Recipe, options: Options) -> Mixture:
    """Open the user's files as the recipe's mixture takes them: each by the portion of its name, if there is one."""
    portions = {portion.name: portion for portion in recipe.mixture}
    ingredients = []
    for place, spec in enumerate(options.data):
        path, weight = _weighed(spec)
        source = open_source(path, images=options.images)
        portion = portions.get(Path(path).name.split(".")[0].lower(), Portion(name=""))
        default = min(MOST_HELD_OUT, len(source) // 10) if options.held_out is None else options.held_out
        held_out = default if place == 0 else 0
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
    """Return path and weight: "captions.jsonl=2" is the file captions.jsonl with weight 2."""
    path, equals, weight = spec.rpartition("=")
    try:
        return (path, float(weight)) if equals else (spec, None)
    except ValueError:  # an equals sign in a path
        return spec, None


def _fixed(recipe: Recipe, options: Options, mixture: Mixture, task: Finetune) -> dict[str, Any]:
    """Return the options that a run keeps: a step must mean the same samples and the same weights."""
    return {
        "--seed": options.seed,
        "--batch": recipe.batch,
        "--lora": options.lora,
        "--quantize": options.quantize,
        "the objective": asdict(task.module.objective),
        "--data or --held-out": mixture.fingerprint(),
    }


def _changeable(recipe: Recipe, options: Options, mixture: Mixture) -> dict[str, Any]:
    """Return the options whose changes a resumed run takes over and logs."""
    return {
        "--model (the weights stay the run's)": options.model,
        "--rate, --freeze": asdict(recipe.rates),
        "--rule": asdict(recipe.rule),
        "the longest sample": recipe.max_length,
        "--precision": options.precision,
        "--images": None if options.images is None else str(options.images),
        "the files of --data": mixture.stamps(),
    }


def _base_name(source: Path) -> str:
    """Return the name by which the model under adapters is found again."""
    return next((name for name, folder in MODELS.items() if folder == source), str(source.resolve()))


def export(task: Finetune, source: Path, out: Path) -> dict[str, Path]:
    """Write the adapters, and a model for `lavida.load` unless its weights are packed; return the folders by kind.

    The weights are stored in the type that those of `source` have, with the other files of that folder. The adapters
    of a model that is spread over processes stay apart.
    """
    net, written = task.model.net, {}
    net.config = task.saved_config
    if task.adapted is not None:
        whole = {PREFIX + _bare(name): tensor for name, tensor in whole_state(task.module).items()}
        written["adapter"] = out / "adapter"
        if rank() == 0:
            save_adapters(task.adapted, written["adapter"], base=_base_name(source), weights=whole)
        if world() > 1 or not is_as_trained(net):
            return written
        merge_adapters(task.adapted)
    weights = {_bare(name): tensor for name, tensor in whole_state(task.module).items()}
    written["model"] = out / "model"
    if rank() == 0:
        stored = survey(source).tensors["denoiser.embedding.weight"].dtype
        save_checkpoint(net, written["model"], dtype=_DTYPES.get(stored, torch.float32), weights=weights)
        copy_others(source, written["model"])
    return written


def _bare(name: str) -> str:
    """Return the name of a parameter within the model."""
    return name.removeprefix("vlm.")
