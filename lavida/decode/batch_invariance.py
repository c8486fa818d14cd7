"""Measure for which numbers of rows a matrix product is batch-invariant: each row the same to the bit among others.

A matrix library picks its kernels by the number of rows. Kernels that add in another order round differently, and the
last bit can decide which of two tokens is committed first. On CPUs only a few numbers of rows are affected. They are
found by measuring the model's own first block and head; forward passes of such a size are computed alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lavida.model.denoiser import Denoiser
from lavida.nn.ragged import Forward


class BatchInvariance:
    """Tell for a number of rows whether `function` gives them the same values as in a large batch.

    Each number is measured when it is first asked for. `reference` [W, D] must hold enough rows for the kernel of
    large products.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], reference: Tensor) -> None:
        self._function, self._rows = function, reference
        self._known: dict[tuple[int, int], bool] = {}
        self._expected: dict[int, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, count: int) -> bool:
        """Return whether `count` rows may be computed together with others."""
        threads = torch.get_num_threads()  # the choice of a kernel depends on them too
        if (count, threads) not in self._known:
            if threads not in self._expected:
                self._expected[threads] = self._function(self._rows)
            at = torch.arange(count, device=self._rows.device).add(1) % len(self._rows)  # rows in other places
            same = torch.equal(self._function(self._rows[at]), self._expected[threads][at])
            self._known[count, threads] = same
        return self._known[count, threads]


def block_invariance(denoiser: Denoiser) -> BatchInvariance:
    """Measure rows [n, D] that go through the blocks."""

    def through(rows: Tensor) -> Tensor:
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)  # attention is never shared
        (out,) = denoiser.forward_ragged([Forward(x=rows[None], mask=itself)], depth=1)
        return out[0]

    return BatchInvariance(through, _embeddings(denoiser, 160))


def head_invariance(denoiser: Denoiser) -> BatchInvariance:
    """Measure rows [n, D] that go through the head."""
    return BatchInvariance(denoiser.head, _embeddings(denoiser, 32))


def _embeddings(denoiser: Denoiser, count: int) -> Tensor:
    return denoiser.embed(torch.arange(count, device=denoiser.device) % denoiser.config.vocab_size).detach()
