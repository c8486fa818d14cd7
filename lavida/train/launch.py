"""Train by a recipe and write the model: the work of `lavida train RECIPE`."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lavida.api import Model, load
from lavida.checkpoint.convert import copy_others
from lavida.checkpoint.inventory import read_config, survey
from lavida.checkpoint.io import save_checkpoint
from lavida.checkpoint.named import MODELS, find_model
from lavida.data.mixture import Ingredient, Mixture
from lavida.data.sources import Source, open_source
from lavida.decode import calibration, confidence
from lavida.errors import ConfigError, RequestError
from lavida.evidence.gather import DETECTOR
from lavida.model.placement import is_as_trained
from lavida.train.distributed import PRECISIONS, prepare, processes, rank, whole_state, world
from lavida.train.finetune import Finetune, Options
from lavida.train.log import TensorBoard
from lavida.train.lora import PREFIX, merge_adapters, save_adapters
from lavida.train.own_answers import write_own_answers
from lavida.train.recipes import Portion, Recipe
from lavida.train.trainer import Trainer

Opened = Sequence[tuple[Source, float | None]]  # each with its weight

MOST_HELD_OUT = 32
MEASURED = (calibration.FILE, confidence.FILE)
_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16}


def train(recipe: Recipe, options: Options, *, say: Callable[[str], None] = print) -> bool:
    """Run a recipe; return True once `out/model` is written, False if the minutes ran out before.

    Raises:
        LavidaError: A CheckpointError, DataError, ConfigError, RequestError or TrainingError of one of the parts.
    """
    minutes, begun = math.inf if options.minutes is None else options.minutes, time.monotonic()
    with processes(options.device) as device:
        check_own_answers(recipe, options)
        opened = open_sources(options)
        mixture = mix(recipe, options, opened)
        torch.manual_seed(options.seed)
        model = load(options.model, dtype="float32", device=str(device), quantize=options.quantize)
        if recipe.own_answers:
            own = _own_sources(model, opened, options, until=begun + 60 * minutes, say=say)
            if own is None:
                say(f"stopped in time; run the same command again to go on from {options.out}")
                return False
            mixture, minutes = mix(recipe, options, own), minutes - (time.monotonic() - begun) / 60
            torch.manual_seed(options.seed)  # whether the answers were written now or before
        task = Finetune(model, mixture, recipe, options, device)
        prepare(
            task.module, shard=options.shard, precision=options.precision, checkpointing=options.checkpointing,
            compile=options.compile,
        )  # fmt: skip
        fixed, changeable = _settings(recipe, options, mixture, task)
        trainer = Trainer(
            task, options.out, habits=options.habits, device=device, dtype=PRECISIONS[options.precision],
            facts={"recipe": recipe.name, "model": options.model, "data": list(options.data), "seed": options.seed},
            fixed=fixed, changeable=changeable, say=say,
        )  # fmt: skip
        if trainer.resume():
            trainer.display.note(f"going on at step {trainer.total}")
        if options.tensorboard and rank() == 0:
            trainer.log.board = TensorBoard(options.out, since=trainer.total)
        if not trainer.run(minutes=minutes):
            trainer.display.note(f"stopped in time; run the same command again to go on from {options.out}")
            return False
        for kind, folder in export(task, find_model(options.model), options.out).items():
            trainer.display.note(f"the {kind} is in {folder}")
        return True


def check_own_answers(recipe: Recipe, options: Options) -> None:
    """Raise RequestError for options of own answers without them, ConfigError for a model that cannot give them."""
    if not recipe.own_answers:
        if options.length is not None or options.only_right:
            raise RequestError("--length and --only-right are about the model's own answers; use the recipe few-steps")
        return
    if read_config(survey(find_model(options.model))).denoiser.autoregressive:
        raise ConfigError(
            f"{options.model} writes one token after the other, so its steps cannot be fewer; give a diffusion model"
        )


def _own_sources(
    model: Model, opened: Opened, options: Options, *, until: float, say: Callable[[str], None]
) -> Opened | None:
    """Return the sources with the model's own answers in place of the data's; None if time was over before."""
    answers = write_own_answers(
        model, [source for source, _ in opened], options.out, length=options.length, seed=options.seed,
        precision=options.precision, until=until, say=say,
    )  # fmt: skip
    if answers is None:
        return None
    numbered = enumerate(opened)
    return [(answers.of(source, i, only_right=options.only_right), weight) for i, (source, weight) in numbered]


def open_sources(options: Options) -> Opened:
    """Open the user's files; return each with its weight."""
    specs = map(_weighed, options.data)
    return [(open_source(path, images=options.images), weight) for path, weight in specs]


def mix(recipe: Recipe, options: Options, opened: Opened | None = None) -> Mixture:
    """Take the user's files as the recipe's mixture says: each by the portion of its name, if there is one."""
    portions = {portion.name: portion for portion in recipe.mixture}
    ingredients, held_out = [], options.held_out
    for spec, (source, weight) in zip(options.data, open_sources(options) if opened is None else opened, strict=True):
        path, _ = _weighed(spec)
        portion = portions.get(Path(path).name.split(".")[0].lower(), Portion(name=""))
        held_out = min(MOST_HELD_OUT, len(source) // 10) if held_out is None else held_out
        take = None if portion.take is None else min(portion.take, len(source) - held_out)
        ingredients.append(
            Ingredient(
                source=source, weight=weight, take=take, held_out=held_out, suffix=portion.suffix,
                suffix_share=portion.suffix_share,
            )
        )  # fmt: skip
        held_out = 0  # of the files after the first
    return Mixture(ingredients)


def _weighed(spec: str) -> tuple[str, float | None]:
    """Return path and weight: "captions.jsonl=2" is the file captions.jsonl with weight 2."""
    path, equals, weight = spec.rpartition("=")
    try:
        return (path, float(weight)) if equals else (spec, None)
    except ValueError:  # an equals sign in a path
        return spec, None


def _settings(
    recipe: Recipe, options: Options, mixture: Mixture, task: Finetune
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that a run keeps, since they decide what a step is, and those whose changes it takes over."""
    fixed = {
        "--seed": options.seed,
        "--batch": recipe.batch,
        "--lora": options.lora,
        "--quantize": options.quantize,
        "the objective": task.module.objective.to_dict(),
        f"--data{', --held-out or --only-right' if recipe.own_answers else ' or --held-out'}": mixture.fingerprint(),
    }
    return fixed, {
        "--model (the weights stay the run's)": options.model,
        "--rate, --freeze": asdict(recipe.rates),
        "--rule": asdict(recipe.rule),
        "the longest sample": recipe.max_length,
        "--precision": options.precision,
        "--images": None if options.images is None else str(options.images),
        "the files of --data": mixture.stamps(),
    }


def export(task: Finetune, source: Path, out: Path) -> dict[str, Path]:
    """Write the adapters, and a model for `lavida.load` unless its weights are packed; return the folders by kind.

    The weights are stored in the type that those of `source` have, with the other files of that folder but what was
    measured of the model before. The adapters of a model that is spread over processes stay apart.
    """
    net, written = task.model.net, {}
    net.config = task.saved_config
    if task.adapted is not None:
        weights = {PREFIX + name: tensor for name, tensor in _weights(task).items()}
        written["adapter"] = out / "adapter"
        if rank() == 0:
            # The name by which the model under the adapters is found again.
            base = next((name for name, folder in MODELS.items() if folder == source), str(source.resolve()))
            save_adapters(task.adapted, written["adapter"], base=base, weights=weights)
        if world() > 1 or not is_as_trained(net):
            return written
        merge_adapters(task.adapted)
    weights = _weights(task)
    written["model"] = out / "model"
    if rank() == 0:
        stored = survey(source).tensors["denoiser.embedding.weight"].dtype
        save_checkpoint(net, written["model"], dtype=_DTYPES.get(stored, torch.float32), weights=weights)
        copy_others(source, written["model"])
        if net.evidence is not None and (source / DETECTOR).is_file():  # which is weights, and not the model's own
            shutil.copyfile(source / DETECTOR, written["model"] / DETECTOR)
        for name in MEASURED:  # how sure and how good answers are has changed
            (written["model"] / name).unlink(missing_ok=True)
    return written


def _weights(task: Finetune) -> dict[str, Tensor]:
    """Return all weights by their names within the model."""
    return {name.removeprefix("vlm."): tensor for name, tensor in whole_state(task.module).items()}
