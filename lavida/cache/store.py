"""A store of computed values under a budget of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

BUDGET = 1 << 30  # bytes


class Store:
    """Hold values by key; beyond the budget the least recently used are dropped."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Return the bytes held."""
        return sum(size for _, size in self._held.values())

    def get(self, key: Hashable) -> Any:
        """Return the value and mark it as recently used; None if it is not held."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of `size` bytes, unless it is larger than the budget."""
        self._held.pop(key, None)
        if size > self.budget:
            return
        self._held[key] = (value, size)
        while self.size > self.budget:
            self._held.popitem(last=False)

    def clear(self) -> None:
        """Drop everything."""
        self._held.clear()
