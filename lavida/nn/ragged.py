"""Forward passes of several answers in one batch row: matrix products are shared, attention is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lavida.cache.base import Cache


@dataclass(frozen=True, kw_only=True)
class Forward:
    """Hold the arguments of one `Denoiser.forward`; its positions follow the cache."""

    x: Tensor  # embeddings [B, T, D]; B = 1 in a ragged batch
    mask: Tensor | None = None
    cache: Cache | None = None


class Span(NamedTuple):
    """Locate one forward pass in the row of a ragged batch."""

    rows: slice
    mask: Tensor | None
    cache: Cache | None


@dataclass(frozen=True)
class RaggedBatch:
    """List the forward passes that share a row [1, R, D]; attention takes it in place of a cache.

    Several spans may read one cache: each is asked for its keys right before its queries attend to them.
    """

    spans: Sequence[Span]
