"""Passes of several answers side by side in one row: what is row-wise is computed together, each attends to its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lavida.cache.base import Cache


class Member(NamedTuple):
    """One pass of a company."""

    own: slice  # its part of the row
    mask: Tensor | None  # as if it were alone
    cache: Cache | None


@dataclass(frozen=True)
class Company:
    """What attention needs to know of the passes that share a row [1, R, D]; it stands in the place of a cache.

    Members may read the same cache: each is asked for its keys right before it attends to them.
    """

    members: Sequence[Member]
