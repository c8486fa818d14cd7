"""Finetune a model of any family on data of any kind, by a recipe: the task behind `lavida train RECIPE`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import ceil
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from lavida.api import Model
from lavida.config import VLMConfig
from lavida.data.codes import CodesEncoder
from lavida.data.collate import Batch, Example, collate
from lavida.data.encode import Encoder
from lavida.data.loader import Loader
from lavida.data.mixture import Mixture
from lavida.data.samples import BrokenSample, Sample
from lavida.decode.image_encoder import CodeEncoder, first_guess
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError, LavidaError, RequestError, check_seed
from lavida.model.efficientnet import EfficientNetLite0
from lavida.model.packing import unpack_products
from lavida.model.siglip import SiglipTower
from lavida.model.vlm import VLM
from lavida.text.messages import Part, pictures_of
from lavida.text.tokenizer import Tokenizer
from lavida.train.distributed import PRECISIONS, rank, unsharded, world
from lavida.train.evidence import TrainingEvidence
from lavida.train.lora import Lora, add_adapters
from lavida.train.mixed import MixedStep
from lavida.train.own_answers import teacher_options
from lavida.train.recipes import Recipe
from lavida.train.step import Targets, TrainingStep
from lavida.train.task import Group, Micro, Outcome, Plan
from lavida.train.trainer import Habits

PARTS = ("tower", "projector", "denoiser")
CAPTIONS = 4  # held-out samples that are answered at each evaluation; the loss is taken of all


@dataclass(frozen=True, kw_only=True)
class Options:
    """Describe how a recipe is run; only rounding, seed and data change what is learnt."""

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
    length: int | None = None  # tokens of the canvas of the model's own answers; None = the family's own
    only_right: bool = False  # only own answers with the words of the data's are learnt

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


class Finetune:
    """Train a model in place as a `Task`; batches and masks depend on the seed and on a batch's number in the run.

    Raises:
        ConfigError: Model, recipe and sizes do not fit.
    """

    def __init__(self, model: Model, mixture: Mixture, recipe: Recipe, options: Options, device: torch.device) -> None:
        self.model, self.recipe, self.seed = model, recipe, options.seed
        self.device, self._precision = device, options.precision
        net, objective = model.net, recipe.objective
        if net.config.shared_image and objective.attention == "full":  # its picture stands apart from the prompt
            objective = replace(objective, attention="prefix")
        if recipe.own_answers:  # as the canvas stood behind its prompt when the answers were written
            cache = teacher_options(model, length=options.length, seed=self.seed).cache
            objective = replace(objective, attention="prefix" if cache == "prefix" else "full")
        self.saved_config = net.config = trained_config(net.config, objective)
        if recipe.one_view and net.config.tiles.keep_aspect:  # a model that stretches its pictures keeps its own views
            net.config = replace(net.config, tiles=replace(net.config.tiles, pinpoints=(), pool=False, unpad=False))
        net.denoiser.config = net.config.denoiser
        own_memory(net)
        if recipe.rates.tower and net.tower is not None:
            cast(SiglipTower | EfficientNetLite0, net.tower).begin_finetuning()
        lora = None if options.lora is None else Lora(rank=options.lora, alpha=2.0 * options.lora)
        self.adapted = None if lora is None else add_adapters(net, lora)
        # The hint of a model whose tower names classes.
        hint_ids = partial(first_guess, cast(Tokenizer, model.tokenizer), model.labels) if model.labels else None
        evidence = TrainingEvidence(model.reader) if net.evidence is not None and hint_ids is not None else None
        self.module = (
            TrainingStep(net, objective, hint_ids=hint_ids, evidence=evidence)
            if recipe.mixed is None
            else MixedStep(net, recipe.mixed)
        )
        length = min(recipe.max_length or net.config.denoiser.max_length, net.config.denoiser.max_length)
        encode = _encoder(model, recipe, length, options.workers)
        micro = min(options.micro, max(1, recipe.batch // world()))
        self.loader = Loader(
            mixture, encode, batch_size=micro, seed=self.seed, rank=rank(), world=world(), workers=options.workers,
            grouped=recipe.grouped,
        )  # fmt: skip
        self.plans = [_plan(recipe, len(mixture), micro * world())]
        self._pictures = options.out / "held-out"
        self._length = options.length
        self._stream: Iterator[Batch] | None = None
        self._reported = 0

    def begin(self, stage: int, *, fresh: bool) -> list[Group]:
        """Return the groups by part; adapters learn alone, at the denoiser's rate."""
        rates = {part: getattr(self.recipe.rates, part) for part in PARTS}
        if self.adapted is not None:
            added = [p for name, p in self.module.named_parameters() if "lora_" in name]
            return [Group(name="lora", parameters=added, rate=rates["denoiser"])]
        learning = thaw(self.module.vlm, {part for part, rate in rates.items() if rate})
        return [Group(name=part, parameters=held, rate=rates[part]) for part, held in learning.items()]

    def batch(self, step: int) -> Micro:
        """Return the next micro-batch of this process with its masks."""
        if self._stream is None:
            self._stream = iter(self.loader)
        batch = next(self._stream)
        targets = self._draw(batch, f"mask/{batch.number}")
        return Micro(
            data=(batch.to(self.device), targets.to(self.device)),
            weight=targets.weight(self.module.objective.weighting),
            samples=batch.samples,
            names=batch.names,
        )

    def loss(self, data: tuple[Batch, Targets]) -> Outcome:
        """Run the forward pass of a micro-batch."""
        loss, buckets = self.module(*data)
        return Outcome(loss=loss, buckets=buckets)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Return the loss on the held-out samples, under masks that are the same every time, and some answers."""
        total = weight = 0.0
        encode, size = self.loader.encode, self.loader.batch_size
        for number, at in enumerate(range(0, len(self._held_out), size)):
            examples = [example for _, example in self._held_out[at : at + size]]
            padding = None if encode.rule.end_padding is None else 0
            batch = collate(examples, pad_id=encode.pad_id, number=number, end_padding=padding)
            targets = self._draw(batch, f"held out/{number}")
            share = targets.weight(self.module.objective.weighting)
            total += share * float(self.loss((batch.to(self.device), targets.to(self.device))).loss)
            weight += share
        if not weight:
            return {}
        asked = [sample for sample, _ in self._held_out if not sample.is_text]
        self.model.forget()  # the kept image tokens were computed with other weights
        with unsharded(self.module, precision=self._precision):
            return {"loss": total / weight, "captions": [self._answer(s) for s in asked[:CAPTIONS]]}

    @cached_property
    def _held_out(self) -> list[tuple[Sample, Example]]:
        """The held-out samples that can be used; `lavida data check` names the others."""
        found, mixture = [], self.loader.mixture
        for draw in mixture.held_out():
            rng = random.Random(f"held out/{draw.ingredient}/{draw.index}")
            with suppress(BrokenSample):
                sample = mixture.sample(draw, rng)
                found.append((sample, self.loader.encode(sample, rng)))
        return found

    def _answer(self, sample: Sample) -> dict[str, str]:
        """Return the model's answer to the last question of a sample, beside the true one."""
        asked, truth = sample.turns[:-1], sample.turns[-1]
        messages = [
            {"role": turn.role, "content": [{"type": p.kind, p.kind: p.value} for p in turn.parts]} for turn in asked
        ]
        try:
            answer = self.model.chat(messages, length=self._length).text
        except LavidaError as error:  # a sample that can be learnt from may still be too long to be asked about
            answer = f"({error})"
        words = " ".join(part.value for part in asked[-1].parts if part.kind == "text")
        shown = ", ".join(self._shown(part, sample.name) for part in pictures_of(asked))
        true = "".join(part.value for part in truth.parts)
        return {"image": shown, "prompt": words, "truth": true, "answer": answer}

    def _shown(self, part: Part, name: str) -> str:
        """Return the file of a picture; one from an archive is written beside the run's log."""
        if not isinstance(part.value, bytes):
            return str(Path(part.value).absolute())
        path = self._pictures / "".join(c if c.isalnum() else "-" for c in name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(part.value)
        return f"{path.parent.name}/{path.name}"

    def skipped(self) -> list[tuple[str, str]]:
        """Return names and reasons of the samples left out since the last call."""
        new, self._reported = self.loader.skipped[self._reported :], len(self.loader.skipped)
        return [(f"{skipped.source}:{skipped.index}", skipped.reason) for skipped in new]

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the data, the seed and the objective."""
        return {"data": self.loader.state_dict(), "seed": self.seed, "objective": self.module.objective.to_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state. Raises ConfigError for another seed or objective, DataError for other data."""
        now = self.state_dict()
        changed = next((name for name in ("seed", "objective") if state[name] != now[name]), None)
        if changed:
            raise ConfigError(f"the run was begun with another {changed} ({state[changed]}); go on with the same")
        self.loader.load_state_dict(state["data"])
        self._stream = None

    def _draw(self, batch: Batch, name: str) -> Targets:
        number = random.Random(f"{self.seed}/{name}").getrandbits(63)
        return self.module.draw(batch, torch.Generator().manual_seed(number))


def _encoder(model: Model, recipe: Recipe, length: int, workers: int) -> Encoder:
    """Return what encodes samples; pictures that are tokens pass the image tokenizer in the process that trains."""
    config, images = model.net.config, model.reader.images
    if not isinstance(images, CodeEncoder):
        return Encoder(config, model.tokenizer, recipe.rule, max_length=length)
    if workers:
        raise ConfigError("the image tokenizer runs in the process that trains; give --workers 0")
    side, drawn = (None, 0.0) if recipe.mixed is None else (recipe.mixed.side, recipe.mixed.drawn)
    return CodesEncoder(config, model.tokenizer, images, recipe.rule, max_length=length, side=side, drawn=drawn)


def trained_config(config: VLMConfig, objective: Objective) -> VLMConfig:
    """Return the configuration of a model that answers as the objective teaches it.

    Raises:
        ConfigError: An autoregressive model cannot become one of masked diffusion.
    """
    if objective.autoregressive:
        return replace(config, denoiser=replace(config.denoiser, autoregressive=True, logit_shift=True))
    if config.denoiser.autoregressive:
        raise ConfigError("this model writes from left to right; train it by the recipe ar, or take another one")
    return config


def thaw(vlm: VLM, parts: set[str]) -> dict[str, list[nn.Parameter]]:
    """Let the named parts learn, as far as the model has them, freeze the others, and return the parameters of each.

    A tower says itself which of its parameters are finetuned.

    Raises:
        ConfigError: Nothing is left to learn.
    """
    unpack_products(vlm).requires_grad_(False)
    held: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS if part in parts}
    tower = cast(SiglipTower | EfficientNetLite0, vlm.tower)
    for name, p in vlm.named_parameters():
        part = name.split(".")[0]
        part = part if part in PARTS else "projector"
        if part in held and (part != "tower" or tower.learns(name.removeprefix("tower."))):
            p.requires_grad_(True)
            held[part].append(p)
    held = {part: parameters for part, parameters in held.items() if parameters}
    if not held:
        raise ConfigError(
            f"the recipe trains {', '.join(sorted(parts))} and this model has none; choose another recipe"
        )
    return held


def own_memory(net: VLM) -> None:
    """Move weights that are still mapped from their file to memory, where they can be changed."""
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            tensor.data = tensor.data.clone()


def _plan(recipe: Recipe, samples: int, at_once: int) -> Plan:
    if recipe.batch % at_once:
        raise ConfigError(
            f"a batch of {recipe.batch} samples does not divide into {world()} processes with micro-batches of "
            f"{at_once // world()}; choose --micro so that it does"
        )
    steps = recipe.steps or max(1, ceil(recipe.epochs * samples / recipe.batch))
    accumulate, warmup = recipe.batch // at_once, ceil(recipe.warmup * steps)
    return Plan(
        name=recipe.name, steps=steps, accumulate=accumulate, warmup=warmup, floor=recipe.floor,
        weight_decay=recipe.weight_decay,
    )  # fmt: skip
