"""Examine a data set: its contents, and the samples that cannot be used."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from lavida.data.encode import Encoder
from lavida.data.samples import BrokenSample, Skipped
from lavida.data.sources import Source
from lavida.text.messages import pictures_of


class Fact(NamedTuple):
    """Hold the figures of a sample that can be used."""

    length: int  # tokens, pictures counted
    pictures: int
    answers: int


def check(
    source: Source, encode: Encoder, *, workers: int = 0, watch: Callable[[Iterable], Iterable] = iter
) -> dict[str, Any]:
    """Read every sample and open every picture; return the numbers of the set, and each broken entry.

    Args:
        source: The samples.
        encode: Reads them as the model does.
        workers: Processes that read; 0 = this one.
        watch: May show how far it is.
    """
    loader = DataLoader(_Examined(source, encode), batch_size=None, num_workers=workers, generator=torch.Generator())
    found = list(watch(loader))
    facts = [fact for fact in found if isinstance(fact, Fact)]
    broken = [fact for fact in found if isinstance(fact, Skipped)]
    lengths, at = sorted(fact.length for fact in facts), {"median": 0.5, "p95": 0.95, "longest": 1.0}
    return {
        "source": source.name,
        "samples": len(source),
        "usable": len(facts),
        "answers": sum(fact.answers for fact in facts),
        "samples_by_pictures": dict(sorted(Counter(fact.pictures for fact in facts).items())),
        "tokens": {name: lengths[int(share * (len(lengths) - 1))] for name, share in at.items() if lengths},
        "max_length": encode.max_length,
        "broken_by_kind": dict(Counter(skipped.kind for skipped in broken).most_common()),
        "broken": [{"index": one.index, "kind": one.kind, "reason": one.reason} for one in broken],
    }


class _Examined(Dataset):
    """Examine each sample."""

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
