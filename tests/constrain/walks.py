"""Walks through automata: whether tokens are accepted, and random tokens and texts that are."""

from __future__ import annotations

import random

import numpy as np

from lavida.constrain.dfa import Dfa
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


def sample_text(dfa: Dfa, r: random.Random, most: int = 60) -> str:
    """Return a random accepted text; behind `most` bytes it takes the shortest way to an end."""
    distance = np.where(dfa.final, 0, len(dfa.final) + 1)
    for _ in range(len(dfa.final)):
        nearer = np.where(dfa.next >= 0, distance[dfa.next], len(dfa.final) + 1).min(1) + 1
        shorter = np.minimum(distance, nearer)
        if (shorter == distance).all():
            break
        distance = shorter
    state, data = 0, bytearray()
    while not (dfa.final[state] and (len(data) >= most or r.random() < 0.15 or not (dfa.next[state] >= 0).any())):
        kinds = np.flatnonzero(dfa.next[state] >= 0).tolist()
        if len(data) >= most:
            kinds = [min(kinds, key=lambda kind: distance[dfa.next[state, kind]])]
        kind = r.choice(kinds)
        data.append(r.choice(np.flatnonzero(dfa.class_of == kind).tolist()))
        state = int(dfa.next[state, kind])
    return data.decode()
