"""Endless batches, the same for the same seed whatever the number of processes and workers.

Micro-batches are numbered over the whole run and dealt out in turn: of W processes, process r takes r, r + W, ...
So two processes, or one that accumulates gradients over two micro-batches, learn from the same samples at each step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lavida.data.collate import Batch, Example, collate
from lavida.data.encode import Encoder
from lavida.data.mixture import Draw, Mixture
from lavida.data.samples import BrokenSample, Skipped
from lavida.errors import ConfigError, DataError

WINDOW = 64  # micro-batches within which samples of like length are brought together, at most those of an epoch
TRIES = 64  # broken samples in a row after which a source is given up


class Loader:
    """Draw micro-batches of a mixture, from a saved place on.

    Iterating raises DataError if a source holds hardly anything but broken samples.

    Args:
        mixture: The samples.
        encode: Encodes them.
        batch_size: Samples of a micro-batch.
        seed: Seed of the order.
        rank: The number of this process among `world`.
        world: The number of processes.
        workers: Processes that read and cut pictures; 0 does it here.
        grouped: Samples of like length come together.
        pack: The most tokens of a row that several samples share; None: one sample a row.
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
        loader = DataLoader(fetch, sampler=self._wanted(), batch_size=None, num_workers=self.workers, generator=unused)
        for batch, skipped in loader:
            for entry in skipped:
                if (entry.source, entry.index) not in self._known:
                    self._known.add((entry.source, entry.index))
                    self.skipped.append(entry)
            if isinstance(batch, DataError):
                raise batch
            self._next += self.batch_size * self.world
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream; the same in every process."""
        data = self.mixture.fingerprint()
        return {"next": self._next, "seed": self.seed, "batch_size": self.batch_size, "data": data}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved place, with any number of processes. Raises DataError if data or sizes differ."""
        if state["data"] != (data := self.mixture.fingerprint()):
            raise DataError(
                f"the run was saved with other data ({state['data']}) than now ({data}); "
                "give it the same, or start a new run"
            )
        other = self.batch_size != state["batch_size"]
        if (other and self.grouped) or state["next"] % self.batch_size:
            raise DataError(
                f"the run was saved with micro-batches of {state['batch_size']} samples; "
                f"give --micro {state['batch_size']} instead of {self.batch_size}"
            )
        self._next, self.seed = int(state["next"]), int(state["seed"])

    def _wanted(self) -> Iterator[tuple[int, list[Draw]]]:
        """Yield the numbers of this process's micro-batches and their draws, endlessly."""
        number = self._next // self.batch_size + self.rank
        length = max(1, min(WINDOW, len(self.mixture) // self.batch_size)) if self.grouped else 1
        window, batches = -1, []
        while True:
            if window != number // length:
                window = number // length
                batches = self._window(window, length)
            yield number, batches[number % length]
            number += self.world

    def _window(self, window: int, length: int) -> list[list[Draw]]:
        """Return the draws of `length` micro-batches; of several, those of like length together, in random order."""
        size = self.batch_size
        first = window * length * size
        draws = [self.mixture.draw(first + i, self.seed) for i in range(length * size)]
        if length > 1:
            draws.sort(key=self.mixture.size_of)
        batches = [draws[i : i + size] for i in range(0, len(draws), size)]
        random.Random(f"{self.seed}/window/{window}").shuffle(batches)
        return batches


class _Fetch(Dataset):
    """Read, open, encode and collate in a worker."""

    def __init__(self, mixture: Mixture, encode: Encoder, seed: int, pack: int | None) -> None:
        self._mixture, self._encode, self._seed, self._pack = mixture, encode, seed, pack

    def __getitem__(self, wanted: tuple[int, list[Draw]]) -> tuple[Batch | DataError, list[Skipped]]:
        """Return a batch and the samples left out; an error is returned, since in a worker it would lose its line."""
        number, draws = wanted
        skipped: list[Skipped] = []
        try:
            examples = [self._example(draw, skipped) for draw in draws]
        except DataError as error:
            return error, skipped
        rule, rng = self._encode.rule, random.Random(f"{self._seed}/batch/{number}")
        return collate(
            examples, pad_id=self._encode.pad_id, number=number, end_padding=rule.end_padding, rng=rng,
            pack=self._pack, longest=self._encode.max_length,
        ), skipped  # fmt: skip

    def _example(self, draw: Draw, skipped: list[Skipped]) -> Example:
        """Return the example of a draw, or of another one of its source if its sample is broken."""
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
