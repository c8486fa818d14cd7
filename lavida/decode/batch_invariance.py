"""Whether a row comes out the same, to the bit, however many rows go through a product with it.

A matrix library picks its kernels by the number of rows; kernels that add in another order round in another way, and a
last bit is enough to turn round which of two tokens is the surer. On CPUs it is as a rule only a few rows that are
treated apart. So it is measured, on the model's own first block and head, and rows whose number is not steady are
computed by themselves, as they would be without an engine.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lavida.model.denoiser import Denoiser
from lavida.model.passes import Pass


class Steady:
    """Says of a number of rows whether they come out of `function` as they do among others; measured when first asked.

    `rows` [W, D] are the others: many enough that their kernel is that of all large products.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> None:
        self._function, self._rows = function, rows
        self._known: dict[tuple[int, int], bool] = {}
        self._wanted: dict[int, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, count: int) -> bool:
        """Whether so many rows may be part of a company, or be one."""
        threads = torch.get_num_threads()  # kernels are chosen by these too
        if (count, threads) not in self._known:
            if threads not in self._wanted:
                self._wanted[threads] = self._function(self._rows)
            at = torch.arange(count, device=self._rows.device).add(1) % len(self._rows)  # where a row stands is nothing
            self._known[count, threads] = torch.equal(self._function(self._rows[at]), self._wanted[threads][at])
        return self._known[count, threads]


def steady_block(denoiser: Denoiser) -> Steady:
    """Of rows [n, D] that go through the blocks."""

    def through(rows: Tensor) -> Tensor:
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)  # attention is never shared
        (out,) = denoiser.together([Pass(x=rows[None], mask=itself)], depth=1)
        return out[0]

    return Steady(through, _embeddings(denoiser, 160))


def steady_head(denoiser: Denoiser) -> Steady:
    """Of rows [n, D] that are read."""
    return Steady(denoiser.head, _embeddings(denoiser, 32))


def _embeddings(denoiser: Denoiser, count: int) -> Tensor:
    weight = denoiser.embedding.weight
    return weight.detach()[torch.arange(count, device=weight.device) % len(weight)]
