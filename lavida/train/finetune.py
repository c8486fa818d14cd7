"""A model of any family on data of any kind, by a recipe: the task behind `lavida train RECIPE`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavida.api import Model
from lavida.config import VLMConfig
from lavida.data.collate import Batch, collate
from lavida.data.encode import Encoder
from lavida.data.loader import Loader
from lavida.data.mixture import Draw, Mixture
from lavida.data.samples import BrokenSample, Sample
from lavida.decode.prompt import first_guess
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError, LavidaError
from lavida.model.efficientnet import EfficientNetLite0, learns
from lavida.model.vlm import VLM
from lavida.text.messages import Part, pictures_of
from lavida.text.tokenizer import Tokenizer
from lavida.train.distributed import gathered
from lavida.train.lora import Lora, add_adapters
from lavida.train.recipes import Recipe
from lavida.train.step import Hidden, HintOf, Learner, hide
from lavida.train.task import Group, Micro, Outcome, Plan

PARTS = ("tower", "projector", "denoiser")


class Finetune:
    """A `Task`. Batches and their masks are functions of the seed and of a batch's number in the run.

    `model` is trained in place. `micro`: samples that are computed at a time on each process. `captions`: how many of
    the mixture's held-out samples are written out at each evaluation; the loss is taken of all. `precision` is the one
    that `module` is prepared with (`train.parallel.prepare`). With `lora` the denoiser's blocks get adapters, which
    alone learn. Raises ConfigError where model, recipe and sizes do not fit.
    """

    def __init__(
        self,
        model: Model,
        mixture: Mixture,
        recipe: Recipe,
        *,
        micro: int = 8,
        seed: int = 0,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        workers: int = 0,
        captions: int = 4,
        rank: int = 0,
        world: int = 1,
        pictures: Path | None = None,
        lora: Lora | None = None,
    ) -> None:
        self.model, self.recipe, self.seed = model, recipe, seed
        self.device, self._precision = torch.device(device), precision
        net, objective = model.net, fitting(model.net.config, recipe)
        self.answering = writing(net.config, objective)  # the configuration that the trained model is saved with
        net.config = _seeing(self.answering, recipe)
        net.denoiser.config = net.config.denoiser
        own_memory(net)
        if recipe.rates.tower and isinstance(net.tower, EfficientNetLite0):
            net.tower.adapt()  # the end that learns
        self.adapted = add_adapters(net, lora) if lora is not None else None
        self.module = Learner(net, objective, hint_of=_hint_of(model))
        length = min(recipe.max_length or net.config.denoiser.max_length, net.config.denoiser.max_length)
        encode = Encoder(net.config, model.tokenizer, recipe.rule, max_length=length)
        at_once = min(micro, max(1, recipe.batch // world))
        self.loader = Loader(
            mixture, encode, batch_size=at_once, seed=seed, rank=rank, world=world, workers=workers,
            grouped=recipe.grouped,
        )  # fmt: skip
        self.plans = [_plan(recipe, len(mixture), at_once, world)]
        self._kept = _Kept(mixture, encode, at_once, captions, pictures)
        self._stream: Iterator[Batch] | None = None
        self._told = 0

    def begin(self, stage: int, *, fresh: bool) -> list[Group]:
        """Rates by part; with adapters they alone learn, at the denoiser's rate."""
        rates = {part: getattr(self.recipe.rates, part) for part in PARTS}
        if self.adapted is not None:
            held = [p for name, p in self.module.named_parameters() if "lora_" in name]
            return [Group(name="lora", parameters=held, rate=rates["denoiser"])]
        learning = thaw(self.module.vlm, {part for part, rate in rates.items() if rate})
        return [Group(name=part, parameters=held, rate=rates[part]) for part, held in learning.items()]

    def batch(self, step: int) -> Micro:
        if self._stream is None:
            self._stream = iter(self.loader)
        batch = next(self._stream)
        hidden = self._hide(batch, f"mask/{batch.number}")
        return Micro(
            data=(batch.to(self.device), hidden.to(self.device)),
            weight=hidden.weight(self.module.objective.weighting),
            samples=batch.samples,
            names=batch.names,
        )

    def loss(self, data: tuple[Batch, Hidden]) -> Outcome:
        loss, buckets = self.module(*data)
        return Outcome(loss=loss, buckets=buckets)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Loss on what the mixture holds out, under masks that are the same every time, and some of its answers."""
        total = weight = 0.0
        for batch in self._kept.batches():
            hidden = self._hide(batch, f"held out/{batch.number}")
            share = hidden.weight(self.module.objective.weighting)
            total += share * float(self.loss((batch.to(self.device), hidden.to(self.device))).loss)
            weight += share
        if not weight:
            return {}
        self.model.forget()  # what it saw of the pictures, it saw with other weights
        with gathered(self.module, precision=self._precision):
            return {"loss": total / weight, "captions": self._kept.answers(self.model)}

    def skipped(self) -> list[tuple[str, str]]:
        new, self._told = self.loader.skipped[self._told :], len(self.loader.skipped)
        return [(f"{one.source}:{one.index}", one.reason) for one in new]

    def state_dict(self) -> dict[str, Any]:
        return {"data": self.loader.state_dict(), "seed": self.seed, "objective": asdict(self.module.objective)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        now = self.state_dict()
        changed = next((name for name in ("seed", "objective") if state[name] != now[name]), None)
        if changed:
            raise ConfigError(f"the run was begun with another {changed} ({state[changed]}); go on with the same")
        self.loader.load_state_dict(state["data"])
        self._stream = None

    def _hide(self, batch: Batch, name: str) -> Hidden:
        number = random.Random(f"{self.seed}/{name}").getrandbits(63)
        return hide(batch, self.module.objective, torch.Generator().manual_seed(number))


class _Kept:
    """What is held out of a mixture, read once."""

    def __init__(self, mixture: Mixture, encode: Encoder, size: int, captions: int, pictures: Path | None) -> None:
        self._mixture, self._encode, self._size = mixture, encode, size
        self._captions, self._pictures = captions, pictures
        self._read: list[tuple[Sample, Any]] | None = None

    def batches(self) -> Iterator[Batch]:
        """Samples that cannot be used are passed over: `lavida data check` names them."""
        if self._read is None:
            found = (self._sample(draw) for draw in self._mixture.held_out())
            self._read = [one for one in found if one is not None]
        for number, at in enumerate(range(0, len(self._read), self._size)):
            examples = [example for _, example in self._read[at : at + self._size]]
            padding = None if self._encode.rule.end_padding is None else 0
            yield collate(examples, pad_id=self._encode.pad_id, number=number, end_padding=padding)

    def answers(self, model: Model) -> list[dict[str, str]]:
        """What the model says to the last question of the first few, beside what is true."""
        out = []
        for sample, _ in (self._read or [])[: self._captions]:
            asked, truth = sample.turns[:-1], sample.turns[-1]
            messages = [
                {"role": turn.role, "content": [{"type": p.kind, p.kind: p.value} for p in turn.parts]}
                for turn in asked
            ]
            try:
                answer = model.chat(messages).text
            except LavidaError as error:  # a sample that can be learnt from may still be too long to be asked about
                answer = f"({error})"
            words = [part.value for part in asked[-1].parts if part.kind == "text"]
            shown = [self._where(part, sample.name) for part in pictures_of(asked)]
            said = "".join(part.value for part in truth.parts)
            out.append({"image": ", ".join(shown), "prompt": " ".join(words), "truth": said, "answer": answer})
        return out

    def _sample(self, draw: Draw) -> tuple[Sample, Any] | None:
        rng = random.Random(f"held out/{draw.ingredient}/{draw.index}")
        try:
            sample = self._mixture.sample(draw, rng)
            return sample, self._encode(sample, rng)
        except BrokenSample:
            return None

    def _where(self, part: Part, name: str) -> str:
        """The file of a picture; one that came out of an archive is written beside the run's log."""
        if not isinstance(part.value, bytes):
            return str(Path(part.value).absolute())
        if self._pictures is None:
            return name
        path = self._pictures / "".join(c if c.isalnum() else "-" for c in name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(part.value)
        return f"{path.parent.name}/{path.name}"


def fitting(config: VLMConfig, recipe: Recipe) -> Objective:
    """The recipe's objective; a model whose picture stands apart from the prompt keeps to the prefix mask."""
    if config.shared_image and recipe.objective.attention == "full":
        return replace(recipe.objective, attention="prefix")
    return recipe.objective


def writing(config: VLMConfig, objective: Objective) -> VLMConfig:
    """The configuration of a model that answers as the objective teaches it. Raises ConfigError for the way back."""
    if objective.autoregressive:
        return replace(config, denoiser=replace(config.denoiser, autoregressive=True, logit_shift=True))
    if config.denoiser.autoregressive:
        raise ConfigError("this model writes from left to right; train it by the recipe ar, or take another one")
    return config


def thaw(vlm: VLM, parts: set[str]) -> dict[str, list[nn.Parameter]]:
    """Let the named parts learn, as far as the model has them, and freeze the others; the parameters of each.

    A light tower learns at its end only (`EfficientNetLite0.adapt`). Raises ConfigError if nothing is left to learn.
    """
    vlm.requires_grad_(False)
    held: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS if part in parts}
    light = isinstance(vlm.tower, EfficientNetLite0)
    for name, p in vlm.named_parameters():
        part = name.split(".")[0]
        part = part if part in PARTS else "projector"
        if part in held and not (light and part == "tower" and not learns(name.removeprefix("tower."))):
            p.requires_grad_(True)
            held[part].append(p)
    held = {part: parameters for part, parameters in held.items() if parameters}
    if not held:
        raise ConfigError(
            f"the recipe trains {', '.join(sorted(parts))} and this model has none; choose another recipe"
        )
    return held


def own_memory(net: VLM) -> None:
    """Weights that are still mapped from their file move to memory, where they can be changed."""
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            tensor.data = tensor.data.clone()


def _seeing(config: VLMConfig, recipe: Recipe) -> VLMConfig:
    """The first stages show one square view, every cell a token; a model that stretches its pictures stays with it."""
    if not recipe.one_view or not config.tiles.keep_aspect:
        return config
    return replace(config, tiles=replace(config.tiles, pinpoints=(), pool=False, unpad=False))


def _hint_of(model: Model) -> HintOf | None:
    if not model.labels or not isinstance(model.tokenizer, Tokenizer):
        return None
    return partial(first_guess, model.tokenizer, model.labels)


def _plan(recipe: Recipe, samples: int, micro: int, world: int) -> Plan:
    if recipe.batch % (micro * world):
        raise ConfigError(
            f"a batch of {recipe.batch} samples does not divide into {world} processes with micro-batches of {micro}; "
            "choose --micro so that it does"
        )
    steps = recipe.steps or max(1, ceil(recipe.epochs * samples / recipe.batch))
    return Plan(
        name=recipe.name,
        steps=steps,
        accumulate=recipe.batch // (micro * world),
        warmup=ceil(recipe.warmup * steps),
        floor=recipe.floor,
    )
