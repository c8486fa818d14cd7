"""What was computed and may be wanted again, under a budget of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

BUDGET = 1 << 30  # bytes


class Store:
    """Values by key; beyond the budget those that were not asked for longest are dropped.

    A value that is dropped lives on with those who use it.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(size for _, size in self._held.values())

    def get(self, key: Hashable) -> Any:
        """The value, now the last to be dropped; None if it is not held."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of so many bytes; one larger than the budget is not kept."""
        self._held.pop(key, None)
        if size > self.budget:
            return
        self._held[key] = (value, size)
        while self.size > self.budget:
            self._held.popitem(last=False)

    def clear(self) -> None:
        """Drop everything."""
        self._held.clear()
