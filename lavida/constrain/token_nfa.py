"""Automata over tokens, put together edge by edge and made deterministic at the end.

Tokens that no edge tells apart form a class, so a table has a column for each class and not for each token.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Table:
    """A deterministic automaton: begins in state 0, `moves[state, classes[token]]` is the next state or -1."""

    classes: np.ndarray  # [V]
    moves: np.ndarray  # [S, C]
    accepting: np.ndarray  # [S], bool

    def walk(self, ids: list[int]) -> int:
        """The state behind some tokens, -1 if there is none."""
        state = 0
        for token in ids:
            state = int(self.moves[state, self.classes[token]]) if state >= 0 else -1
        return state

    def accepts(self, ids: list[int]) -> bool:
        """Whether a whole sequence of tokens is in the language."""
        state = self.walk(ids)
        return state >= 0 and bool(self.accepting[state])

    def lengths(self, most: int) -> range:
        """From the least to the most tokens of an accepted sequence, `most` at most; empty if there is none."""
        states, found = np.array([0]), []
        for length in range(most + 1):
            if self.accepting[states].any():
                found.append(length)
            states = np.unique(self.moves[states])
            states = states[states >= 0]
        return range(found[0], found[-1] + 1) if found else range(0)


class Net:
    """States joined by edges that read one token of a set, or nothing."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._skips: list[list[int]] = []
        self._edges: list[list[tuple[int, int]]] = []  # of each state: (label, target)
        self._labels: dict[bytes, int] = {}
        self._sets: list[np.ndarray] = []

    def state(self) -> int:
        """A new state."""
        self._skips.append([])
        self._edges.append([])
        return len(self._edges) - 1

    def label(self, ids: np.ndarray | list[int]) -> int:
        """The number of a set of tokens, for `link`."""
        chosen = np.unique(np.asarray(ids, dtype=np.int64))
        number = self._labels.setdefault(chosen.tobytes(), len(self._sets))
        if number == len(self._sets):
            self._sets.append(chosen)
        return number

    def link(self, start: int, label: int, end: int) -> None:
        """An edge that reads any one token of a set."""
        self._edges[start].append((label, end))

    def skip(self, start: int, end: int) -> None:
        """An edge that reads nothing."""
        self._skips[start].append(end)

    def spell(self, start: int, ids: list[int], end: int) -> None:
        """A path that reads these tokens one after the other."""
        for token in ids[:-1]:
            after = self.state()
            self.link(start, self.label([token]), after)
            start = after
        self.link(start, self.label(ids[-1:]), end)

    def table(self, start: int, end: int) -> Table:
        """The deterministic automaton of what leads from one state to another, without states that lead nowhere."""
        classes, members = self._classes()
        first = self._closure({start})
        numbers, queue, moves = {first: 0}, [first], []
        for states in queue:  # grows while it is read
            reached: dict[int, set[int]] = defaultdict(set)
            for state in states:
                for label, target in self._edges[state]:
                    for one in members[label]:
                        reached[one].add(target)
            row = {}
            for one, targets in reached.items():
                closed = self._closure(targets)
                if closed not in numbers:
                    numbers[closed] = len(queue)
                    queue.append(closed)
                row[one] = numbers[closed]
            moves.append(row)
        table = np.full((len(queue), int(classes.max()) + 1), -1)
        for state, row in enumerate(moves):
            table[state, list(row)] = list(row.values())
        return _trimmed(classes, table, np.array([end in states for states in queue]))

    def _classes(self) -> tuple[np.ndarray, list[list[int]]]:
        """The class of each token [V], class 0 being that of no edge; the classes that each label holds."""
        code = np.zeros(self._tokens, dtype=np.int64)
        for ids in self._sets:
            if len(ids) > 1:
                bit = np.zeros(self._tokens, dtype=np.int64)
                bit[ids] = 1
                code = np.unique(code * 2 + bit, return_inverse=True)[1]
        alone = np.unique([ids[0] for ids in self._sets if len(ids) == 1]).astype(np.int64)
        code[alone] = code.max() + 1 + np.arange(len(alone))  # a token with an edge of its own is a class of its own
        unused = np.ones(self._tokens, dtype=bool)
        for ids in self._sets:
            unused[ids] = False
        code = np.where(unused, 0, np.unique(code, return_inverse=True)[1] + 1)
        return code, [np.unique(code[ids]).tolist() for ids in self._sets]

    def _closure(self, states: set[int]) -> frozenset[int]:
        seen, left = set(states), list(states)
        while left:
            for target in self._skips[left.pop()]:
                if target not in seen:
                    seen.add(target)
                    left.append(target)
        return frozenset(seen)


def _trimmed(classes: np.ndarray, moves: np.ndarray, accepting: np.ndarray) -> Table:
    """Without the states from which nothing is accepted; the first state stays in any case."""
    alive = accepting.copy()
    while True:
        grown = alive | ((moves >= 0) & alive[moves]).any(1)
        if (grown == alive).all():
            break
        alive = grown
    kept = alive.copy()
    kept[0] = True
    numbers = np.where(kept, np.cumsum(kept) - 1, -1)
    moves = np.where((moves >= 0) & alive[moves], numbers[moves], -1)[kept]
    return Table(classes=classes, moves=moves, accepting=accepting[kept])
