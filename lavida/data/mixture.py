"""Several sources as one endless stream: draw number n is a function of n and a seed, so nothing need be replayed.

An epoch draws as many samples as the sources hold together, each source its share of them, in an order shuffled anew.
A source goes on in the next epoch where it stopped, so every sample of it comes once before any comes again.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from lavida.data.samples import Sample
from lavida.data.sources import Source
from lavida.errors import ConfigError, DataError
from lavida.text.messages import Part, Turn

_SUBSET_SEED = 0  # which samples are held out or taken must not change with the seed of a run


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """Describe a source and its part in a mixture."""

    source: Source
    weight: float | None = None  # relative to the others; None for all: each sample equally often
    take: int | None = None  # so many of its samples are drawn from, chosen at random; None = all
    held_out: int = 0  # samples that are never drawn, but kept to measure by
    suffix: str = ""  # behind questions (LLaDA-V's " /think" and " /no_think")
    suffix_share: float = 1.0  # of the questions

    def __post_init__(self) -> None:
        name, held = self.source.name, len(self.source)
        if self.weight is not None and not 0 < self.weight < float("inf"):
            raise ConfigError(f"the weight of {name} must be above 0, got {self.weight}")
        if self.held_out < 0 or self.held_out >= held:
            raise DataError(f"{name} has {held} samples, so {self.held_out} of them cannot be held out")
        if self.take is not None and not 1 <= self.take <= held - self.held_out:
            raise DataError(f"{name} has {held - self.held_out} samples to draw from, so take cannot be {self.take}")
        if not 0 <= self.suffix_share <= 1:
            raise ConfigError(f"suffix_share of {name} is a share, 0 to 1, got {self.suffix_share}")

    @property
    def size(self) -> int:
        """The number of samples that are drawn from."""
        return self.take if self.take is not None else len(self.source) - self.held_out


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Name a sample of the stream by its number there, its ingredient and its place in that source."""

    number: int
    ingredient: int
    index: int


class Mixture:
    """Draw the stream of several ingredients. Raises ConfigError for weights that some of them lack."""

    def __init__(self, ingredients: Sequence[Ingredient]) -> None:
        if not ingredients:
            raise ConfigError("a mixture needs at least one source")
        self.ingredients = tuple(ingredients)
        sizes = [one.size for one in self.ingredients]
        given = [one.weight is not None for one in self.ingredients]
        if any(given) and not all(given):
            raise ConfigError("give every source of a mixture a weight, or none")
        weights = [one.weight or 0.0 for one in self.ingredients] if all(given) else sizes
        self.quotas = _quotas(weights, sum(sizes))
        self._starts = [0, *accumulate(self.quotas)]
        shuffled = [_shuffled(len(one.source), f"{_SUBSET_SEED}/{i}") for i, one in enumerate(self.ingredients)]
        self._held_out = [order[: one.held_out] for order, one in zip(shuffled, self.ingredients)]
        self._drawn = [order[one.held_out :][: one.size] for order, one in zip(shuffled, self.ingredients)]
        self._epoch, self._order = "", torch.empty(0)

    def __len__(self) -> int:
        """Draws of an epoch."""
        return self._starts[-1]

    def draw(self, number: int, seed: int) -> Draw:
        """Return the draw of that number, from 0 on."""
        epoch, place = divmod(number, len(self))
        if self._epoch != (name := f"{seed}/epoch/{epoch}"):
            self._epoch, self._order = name, _shuffled(len(self), name)
        flat = int(self._order[place])
        which = bisect_right(self._starts, flat) - 1
        drawn = self._drawn[which]
        turn = epoch * self.quotas[which] + flat - self._starts[which]
        return Draw(number=number, ingredient=which, index=int(drawn[turn % len(drawn)]))

    def another(self, draw: Draw, rng: random.Random) -> Draw:
        """Return a draw of the same number from the same source, in place of one that cannot be used."""
        drawn = self._drawn[draw.ingredient]
        return replace(draw, index=int(drawn[rng.randrange(len(drawn))]))

    def held_out(self) -> list[Draw]:
        """Return the samples that are never drawn."""
        return [Draw(number=-1, ingredient=i, index=int(j)) for i, kept in enumerate(self._held_out) for j in kept]

    def sample(self, draw: Draw, rng: random.Random) -> Sample:
        """Read the sample of a draw; `rng` chooses the questions that get a suffix. Raises BrokenSample."""
        one = self.ingredients[draw.ingredient]
        sample = one.source[draw.index]
        if not one.suffix:
            return sample
        turns = (
            _ending_in(turn, one.suffix) if turn.role == "user" and rng.random() < one.suffix_share else turn
            for turn in sample.turns
        )
        return replace(sample, turns=tuple(turns))

    def name_of(self, draw: Draw) -> str:
        """Return the name of its source."""
        return self.ingredients[draw.ingredient].source.name

    def size_of(self, draw: Draw) -> int:
        """Return about how many letters long its sample is."""
        return self.ingredients[draw.ingredient].source.size_of(draw.index)

    def stamps(self) -> dict[str, str]:
        """Return a short mark of each source's content, to notice that a file was edited."""
        return {f"{i}: {one.source.name}": one.source.stamp() for i, one in enumerate(self.ingredients)}

    def fingerprint(self) -> str:
        """Return the sizes and shares that decide which samples a step draws."""
        parts = (f"{len(one.source)} of {one.source.name} less {one.held_out}" for one in self.ingredients)
        return "; ".join(f"{part}, {quota} an epoch" for part, quota in zip(parts, self.quotas))


def _quotas(weights: Sequence[float], total: int) -> list[int]:
    """Return whole numbers, at least 1 each, in the ratio of the weights and of that sum (largest remainders)."""
    exact = [total * weight / sum(weights) for weight in weights]
    quotas = [max(1, int(share)) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: quotas[i] - exact[i])
    for i in by_remainder[: max(0, total - sum(quotas))]:
        quotas[i] += 1
    return quotas


def _shuffled(count: int, seed: str) -> Tensor:
    g = torch.Generator().manual_seed(random.Random(seed).getrandbits(63))
    return torch.randperm(count, generator=g)


def _ending_in(turn: Turn, suffix: str) -> Turn:
    *parts, last = turn.parts
    if last.kind != "text":
        return replace(turn, parts=(*turn.parts, Part(kind="text", value=suffix.strip())))
    return replace(turn, parts=(*parts, replace(last, value=last.value.rstrip() + suffix)))
