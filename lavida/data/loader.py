"""Batches without end, the same for the same seed whatever the number of processes and workers.

Micro-batches are numbered over the whole run and dealt out in turn: of W processes, process r takes r, r + W, ...
So two processes, or one that accumulates gradients over two micro-batches, learn from the same samples at each step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lavida.data.collate import Batch, Example, collate
from lavida.data.encode import Encoder
from lavida.data.mixture import Draw, Mixture
from lavida.data.samples import BrokenSample, Skipped
from lavida.errors import ConfigError, DataError

WINDOW = 64  # micro-batches within which samples of like length are brought together
TRIES = 64  # broken samples in a row after which a source is given up


@dataclass(frozen=True, kw_only=True)
class _Fetched:
    batch: Batch | DataError  # an error is returned: raised in a worker, it would lose its one line
    skipped: list[Skipped]


class Loader:
    """Micro-batches of a mixture, from where it was left.

    `batch_size`: samples of a micro-batch. `grouped`: samples of like length come together. `pack`: samples share rows
    of at most so many tokens, so that a batch has fewer rows than samples. `workers`: processes that read and cut
    pictures; 0 does it here. Raises DataError while iterating if a source holds next to nothing but broken samples.
    """

    def __init__(
        self,
        mixture: Mixture,
        encode: Encoder,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        grouped: bool = False,
        pack: int | None = None,
    ) -> None:
        if batch_size < 1 or workers < 0:
            raise ConfigError(f"a batch takes at least 1 sample and 0 workers, got {batch_size} and {workers}")
        if not 0 <= rank < world:
            raise ConfigError(f"rank {rank} is not one of {world} processes")
        if pack is not None and pack < encode.max_length:
            raise ConfigError(f"a packed row of {pack} tokens must hold the longest sample ({encode.max_length})")
        self.mixture, self.encode = mixture, encode
        self.batch_size, self.seed, self.grouped, self.pack = batch_size, seed, grouped, pack
        self.rank, self.world, self.workers = rank, world, workers
        self.skipped: list[Skipped] = []  # since this loader was made, each once, in the order met
        self._next = 0  # samples that all processes together have been given
        self._known: set[tuple[str, int]] = set()

    def __iter__(self) -> Iterator[Batch]:
        fetch = _Fetch(self.mixture, self.encode, self.seed, self.pack)
        # A generator of its own, or it would draw from the one that a resumed run must find as it was.
        unused = torch.Generator()
        loader = DataLoader(fetch, sampler=_Sampler(self), batch_size=None, num_workers=self.workers, generator=unused)
        for fetched in loader:
            self._note(fetched.skipped)
            if isinstance(fetched.batch, DataError):
                raise fetched.batch
            self._next += self.batch_size * self.world
            yield fetched.batch

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is; the same in every process."""
        data = self.mixture.fingerprint()
        return {"next": self._next, "seed": self.seed, "batch_size": self.batch_size, "data": data}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, with any number of processes. Raises DataError if the data are other ones."""
        if state["data"] != (data := self.mixture.fingerprint()):
            raise DataError(
                f"the run was saved with other data ({state['data']}) than now ({data}); "
                "give it the same, or start a new run"
            )
        other = self.batch_size != state["batch_size"]
        if (other and self.grouped) or state["next"] % self.batch_size:
            raise DataError(
                f"the run was saved with micro-batches of {state['batch_size']} samples; "
                f"go on with as many instead of {self.batch_size}"
            )
        self._next, self.seed = int(state["next"]), int(state["seed"])

    def _note(self, skipped: list[Skipped]) -> None:
        new = [one for one in skipped if (one.source, one.index) not in self._known]
        self._known.update((one.source, one.index) for one in new)
        self.skipped += new


class _Sampler:
    """The numbers of this process's micro-batches and their draws, without end."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[tuple[int, list[Draw]]]:
        loader = self._loader
        number = loader._next // loader.batch_size + loader.rank
        window, batches = -1, []
        while True:
            if not loader.grouped:
                first = number * loader.batch_size
                yield number, [loader.mixture.draw(first + i, loader.seed) for i in range(loader.batch_size)]
            else:
                if window != number // WINDOW:
                    window = number // WINDOW
                    batches = _grouped(loader.mixture, window, loader.batch_size, loader.seed)
                yield number, batches[number % WINDOW]
            number += loader.world


def _grouped(mixture: Mixture, window: int, batch_size: int, seed: int) -> list[list[Draw]]:
    """The draws of a window in batches of like length, the batches in random order."""
    first = window * WINDOW * batch_size
    draws = [mixture.draw(first + i, seed) for i in range(WINDOW * batch_size)]
    draws.sort(key=mixture.size_of)
    batches = [draws[i : i + batch_size] for i in range(0, len(draws), batch_size)]
    random.Random(f"{seed}/window/{window}").shuffle(batches)
    return batches


class _Fetch(Dataset):
    """What a worker does: read, open, encode, collate."""

    def __init__(self, mixture: Mixture, encode: Encoder, seed: int, pack: int | None) -> None:
        self._mixture, self._encode, self._seed, self._pack = mixture, encode, seed, pack

    def __getitem__(self, wanted: tuple[int, list[Draw]]) -> _Fetched:
        number, draws = wanted
        skipped: list[Skipped] = []
        try:
            examples = [self._example(draw, skipped) for draw in draws]
        except DataError as error:
            return _Fetched(batch=error, skipped=skipped)
        batch = collate(
            examples,
            pad_id=self._encode.pad_id,
            number=number,
            end_padding=self._encode.rule.end_padding,
            rng=random.Random(f"{self._seed}/batch/{number}"),
            pack=self._pack,
            longest=self._encode.max_length,
        )
        return _Fetched(batch=batch, skipped=skipped)

    def _example(self, draw: Draw, skipped: list[Skipped]) -> Example:
        """The example of a draw, or of another one of its source if its sample is broken."""
        rng = random.Random(f"{self._seed}/sample/{draw.number}")
        for _ in range(TRIES):
            try:
                return self._encode(self._mixture.sample(draw, rng), rng)
            except BrokenSample as error:
                name = self._mixture.name_of(draw)
                skipped.append(Skipped(source=name, index=draw.index, kind=error.kind, reason=str(error)))
                draw = self._mixture.another(draw, rng)
        raise DataError(
            f"{name}: {TRIES} samples in a row cannot be used, the last because of {skipped[-1].reason}; "
            "see `lavida data check`"
        )
