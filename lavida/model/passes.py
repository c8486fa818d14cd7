"""What is computed with the weights as something that is asked for, so that it can be computed for several at once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from lavida.cache.base import Cache

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The arguments of `Denoiser.forward`; positions are those that follow the cache."""

    x: Tensor  # embeddings [B, T, D]; B = 1 in company
    mask: Tensor | None = None
    cache: Cache | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The argument of `Denoiser.head`: logits over the whole vocabulary are asked for, and may be refused."""

    hidden: Tensor  # [n, D]


Passing = Generator[Pass, Tensor, T]  # yields passes, is sent the hidden states [B, T, D] of each, returns T


def alone(denoiser: Callable[..., Tensor], passing: Passing[T]) -> T:
    """What a coroutine of passes returns when each is made by itself, as it is asked for."""
    hidden = None
    while True:
        try:
            asked = passing.send(hidden)
        except StopIteration as end:
            return end.value
        hidden = denoiser(asked.x, mask=asked.mask, cache=asked.cache)
