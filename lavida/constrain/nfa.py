"""Build nondeterministic automata and make them deterministic, over bytes (`dfa.py`) or tokens (`tokens.py`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lavida.errors import RequestError

Array = np.ndarray[Any, Any]


class TooComplexError(RequestError):
    """Report that an automaton would be too large."""

    def __init__(self, what: str = "the constraint") -> None:
        super().__init__(f"{what} is too complex; use fewer alternatives, smaller counts, or no nested ones")


@dataclass(kw_only=True)
class Budget:
    """Bound the size of automata, and the work done on all that belong to one constraint."""

    parts: int = 40_000  # states of one nondeterministic automaton
    states: int = 8_000  # states of one deterministic automaton
    work: int = 1_000_000  # states visited; bounds the time to about two seconds

    def spend(self, work: int) -> None:
        """Take work off the budget. Raises TooComplexError when nothing is left."""
        self.work -= work
        if self.work < 0:
            raise TooComplexError


class Nfa:
    """Hold states joined by free moves and by moves on labels; a label stands for a set of symbols."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._free: list[list[int]] = []
        self._moves: list[list[tuple[int, int]]] = []  # of each state: (label, target)
        self._closures: dict[int, tuple[int, ...]] = {}

    def state(self) -> int:
        """Add a state. Raises TooComplexError if there are too many."""
        if len(self._free) >= self.budget.parts:
            raise TooComplexError
        self._free.append([])
        self._moves.append([])
        return len(self._free) - 1

    def after(self, start: int) -> int:
        """Add a state that a free move from `start` leads to."""
        self.skip(start, state := self.state())
        return state

    def link(self, start: int, label: int, end: int) -> None:
        """Add a move that reads one symbol of a label."""
        self._moves[start].append((label, end))

    def skip(self, start: int, end: int) -> None:
        """Add a move that reads nothing."""
        self._free[start].append(end)

    def determinise(
        self, start: int, end: int, members: Sequence[Collection[int]], classes: int
    ) -> tuple[Array, Array]:
        """Return the deterministic automaton: the next state [S, C] or -1, and bool [S], which states accept.

        `members` are the classes of symbols, of which there are C, that each label stands for; the accepting state
        `end` has no moves of its own. Raises TooComplexError.
        """
        first = frozenset(self._closure(start))
        numbers, known, queue = {first: 0}, {frozenset((start,)): 0}, [first]
        rows: list[dict[int, int]] = []
        for subset in queue:  # grows while it is read
            reached: dict[int, set[int]] = {}
            for state in subset:
                for label, target in self._moves[state]:
                    for symbol in members[label]:
                        reached.setdefault(symbol, set()).add(target)
            row = {}
            for symbol, targets in reached.items():
                key = frozenset(targets)
                if key not in known:
                    whole = frozenset(s for target in key for s in self._closure(target))
                    self.budget.spend(len(whole))
                    if whole not in numbers:
                        numbers[whole] = len(queue)
                        queue.append(whole)
                    known[key] = numbers[whole]
                row[symbol] = known[key]
            rows.append(row)
            self.budget.spend(len(subset) + sum(map(len, reached.values())))
            if len(queue) > self.budget.states:
                raise TooComplexError
        follow = np.full((len(rows), classes), -1, dtype=np.int32)
        for number, row in enumerate(rows):
            follow[number, list(row)] = list(row.values())
        return follow, np.array([end in subset for subset in queue])

    def _closure(self, state: int) -> tuple[int, ...]:
        """Return the states that free moves lead to, of which only those with other moves, or none, count."""
        if state not in self._closures:
            seen, stack = {state}, [state]
            while stack:
                for to in self._free[stack.pop()]:
                    if to not in seen:
                        seen.add(to)
                        stack.append(to)
            self.budget.spend(len(seen))
            self._closures[state] = tuple(s for s in seen if self._moves[s] or not self._free[s])
        return self._closures[state]
