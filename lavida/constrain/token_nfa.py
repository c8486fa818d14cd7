"""Build automata over tokens move by move, for templates.

Tokens that no move tells apart form a class, so a table has a column for each class and not for each token.
"""

from __future__ import annotations

import numpy as np

from lavida.constrain.nfa import Array, Budget, Nfa
from lavida.constrain.tokens import TokenAutomaton


class TokenNfa(Nfa):
    """Hold an automaton whose moves read tokens."""

    def __init__(self, tokens: int) -> None:
        super().__init__(Budget(parts=200_000, states=40_000, work=10_000_000))
        self._tokens = tokens
        self._labels: dict[bytes, int] = {}
        self._sets: list[Array] = []

    def label(self, ids: Array | list[int]) -> int:
        """Return the label of a set of tokens."""
        chosen = np.unique(np.asarray(ids, dtype=np.int64))
        number = self._labels.setdefault(chosen.tobytes(), len(self._sets))
        if number == len(self._sets):
            self._sets.append(chosen)
        return number

    def spell(self, start: int, ids: list[int], end: int) -> None:
        """Add a path that reads these tokens one after the other."""
        for token in ids[:-1]:
            after = self.state()
            self.link(start, self.label([token]), after)
            start = after
        self.link(start, self.label(ids[-1:]), end)

    def automaton(self, start: int, end: int) -> TokenAutomaton:
        """Build the automaton of what leads from one state to another. Raises TooComplexError."""
        classes, members = self._classes()
        return TokenAutomaton.from_moves(classes, *self.determinise(start, end, members, int(classes.max()) + 1))

    def _classes(self) -> tuple[Array, list[list[int]]]:
        """Return the class of each token [V], class 0 being that of no move, and the classes of each label."""
        code = np.zeros(self._tokens, dtype=np.int64)
        for ids in self._sets:
            if len(ids) > 1:
                bit = np.zeros(self._tokens, dtype=np.int64)
                bit[ids] = 1
                code = np.unique(code * 2 + bit, return_inverse=True)[1]
        alone = np.unique([ids[0] for ids in self._sets if len(ids) == 1]).astype(np.int64)
        code[alone] = code.max() + 1 + np.arange(len(alone))  # a token with a move of its own is a class of its own
        unused = np.ones(self._tokens, dtype=bool)
        for ids in self._sets:
            unused[ids] = False
        code = np.where(unused, 0, np.unique(code, return_inverse=True)[1] + 1)
        return code, [np.unique(code[ids]).tolist() for ids in self._sets]
