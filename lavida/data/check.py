"""Examine a data set: its contents, and the samples that cannot be used."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lavida.data.encode import Encoder
from lavida.data.samples import BrokenSample, Skipped
from lavida.data.sources import Source
from lavida.text.messages import pictures_of


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A sample that can be used."""

    length: int  # tokens, pictures counted
    pictures: int
    answers: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """A data set as one model reads it."""

    source: str
    samples: int
    max_length: int
    facts: list[Fact]
    broken: list[Skipped]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, and each broken entry."""
        kinds, pictures = (
            Counter(skipped.kind for skipped in self.broken),
            Counter(fact.pictures for fact in self.facts),
        )
        lengths = sorted(fact.length for fact in self.facts)
        at = {"median": 0.5, "p95": 0.95, "longest": 1.0}
        return {
            "source": self.source,
            "samples": self.samples,
            "usable": len(self.facts),
            "answers": sum(fact.answers for fact in self.facts),
            "samples_by_pictures": dict(sorted(pictures.items())),
            "tokens": {name: lengths[int(share * (len(lengths) - 1))] for name, share in at.items() if lengths},
            "max_length": self.max_length,
            "broken_by_kind": dict(kinds.most_common()),
            "broken": [
                {"index": skipped.index, "kind": skipped.kind, "reason": skipped.reason} for skipped in self.broken
            ],
        }


def check(source: Source, encode: Encoder, *, workers: int = 0, watch: Callable[[Iterable], Iterable] = iter) -> Report:
    """Read every sample and open every picture, in `workers` processes or here; `watch` may show how far it is."""
    loader = DataLoader(_Examined(source, encode), batch_size=None, num_workers=workers, generator=torch.Generator())
    found = list(watch(loader))
    return Report(
        source=source.name,
        samples=len(source),
        max_length=encode.max_length,
        facts=[fact for fact in found if isinstance(fact, Fact)],
        broken=[fact for fact in found if isinstance(fact, Skipped)],
    )


class _Examined(Dataset):
    """The facts of each sample."""

    def __init__(self, source: Source, encode: Encoder) -> None:
        self._source, self._encode = source, encode

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Fact | Skipped:
        try:
            sample = self._source[index]
            length = self._encode.measure(sample, random.Random(index)).length
        except BrokenSample as error:
            return Skipped(source=self._source.name, index=index, kind=error.kind, reason=str(error))
        answers = sum(turn.role == "assistant" for turn in sample.turns)
        return Fact(length=length, pictures=len(pictures_of(sample.turns)), answers=answers)
