"""Whether a row of a pass comes out the same, to the bit, however many rows go through the products with it.

A matrix library picks its kernels by the number of rows; kernels that add in another order round in another way, and a
last bit is enough to turn round which of two tokens is the surer. On CPUs it is as a rule only a few rows that are
treated apart (MKL on one thread: fewer than four). So it is measured on the model's own first block, and a pass whose
number of rows is not steady is made by itself, as it would be without an engine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.model.denoiser import Denoiser
from lavida.model.passes import Pass

_WITNESS = 160  # rows of the pass that all others are held against


class Steady:
    """Says of a number of rows whether they come out as those of the witness do; measured when first asked."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._known: dict[tuple[int, int], bool] = {}
        self._rows: Tensor | None = None  # [W, D] in
        self._wanted: Tensor | None = None  # [W, D] out

    @torch.inference_mode()
    def __call__(self, count: int) -> bool:
        """Whether a pass of so many rows may be part of a company, or be one."""
        threads = torch.get_num_threads()  # kernels are chosen by these too
        if (count, threads) not in self._known:
            self._known[count, threads] = self._measure(count)
        return self._known[count, threads]

    def _measure(self, count: int) -> bool:
        if self._rows is None:
            denoiser = self._denoiser
            ids = torch.arange(_WITNESS, device=denoiser.embedding.weight.device)
            self._rows = denoiser.embed(ids % denoiser.config.vocab_size)
            self._wanted = self._out(self._rows)
        at = torch.arange(count, device=self._rows.device).add(1) % _WITNESS  # moved on: where a row stands is nothing
        return torch.equal(self._out(self._rows[at]), self._wanted[at])

    def _out(self, rows: Tensor) -> Tensor:
        """Rows [n, D] behind the first block, each of which sees itself only."""
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        (out,) = self._denoiser.together([Pass(x=rows[None], mask=itself)], depth=1)
        return out[0]
