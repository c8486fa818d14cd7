"""Walks through automata over tokens: whether ids are accepted, and random ids that are."""

from __future__ import annotations

import numpy as np

from lavida.constrain.tokens import TokenAutomaton


def step(automaton: TokenAutomaton, state: int, token: int) -> int:
    """Return the state behind a token, -1 if there is none."""
    edges = np.flatnonzero((automaton.source == state) & (automaton.kind == automaton.class_of[token]))
    assert len(edges) <= 1
    return int(automaton.target[edges[0]]) if len(edges) else -1


def accepts(automaton: TokenAutomaton, ids: list[int]) -> bool:
    """Tell whether a whole sequence of tokens is accepted, edge by edge."""
    state = 0 if len(automaton.final) else -1
    for token in ids:
        state = step(automaton, state, token)
    return state >= 0 and bool(automaton.final[state])


def sample(automaton: TokenAutomaton, rng: np.random.Generator, most: int = 80) -> list[int]:
    """Return a random accepted sequence of tokens."""
    ids: list[int] = []
    state = 0
    for _ in range(most):
        kinds = automaton.kind[automaton.source == state]
        if automaton.final[state] and (rng.random() < 0.5 or not len(kinds)):
            return ids
        choices = np.flatnonzero(np.isin(automaton.class_of, kinds))
        if not len(choices):
            break
        ids.append(int(rng.choice(choices)))
        state = step(automaton, state, ids[-1])
    assert automaton.final[state], "the automaton led nowhere"
    return ids
