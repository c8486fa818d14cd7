"""Lift automata over bytes to tokens, and keep them in memory and in the user's cache folder.

What a token does is a function from states to states, the composition of what its bytes do. Tokens of equal functions
form a class, and there are few classes even for a large vocabulary: where a constraint says "a string of at most 40
characters", all words of five letters do the same. So functions are composed once for each function and kind of byte
that may follow it, not once for each token.
"""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from lavida.constrain.dfa import Dfa, compile_capped
from lavida.constrain.grammar import Term, seq, text
from lavida.constrain.nfa import Array, TooComplexError
from lavida.errors import RequestError
from lavida.text.spelling import Spelling, spell
from lavida.text.tokenizer import Vocabulary

MOST_EDGES = 6_000_000
FORMAT = 2  # of kept automata; raised when terms come to mean something else
MOST_FILES = 256
_MOST_KNOWN = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenAutomaton:
    """Hold edges: edge e leads from `source[e]` by any token of class `kind[e]` to `target[e]`; state 0 is the start.

    Deterministic, sorted by target, and every state can be reached and can still end well.
    """

    class_of: Array  # int32 [V], 0 = a token without edges
    source: Array  # int32 [E]
    kind: Array  # int32 [E], 1 or above
    target: Array  # int32 [E]
    final: Array  # bool [S]; no state at all: the empty language

    @classmethod
    def of(cls, class_of: Array, source: Array, kind: Array, target: Array, final: Array) -> TokenAutomaton:
        """Build it from the edges of any deterministic automaton, without those out of reach or that lead nowhere."""
        whole = closed(source, target, np.arange(len(final)) == 0) & closed(target, source, final)
        kept = whole[source] & whole[target]
        number = np.cumsum(whole, dtype=np.int32) - 1
        source, kind, target = number[source[kept]], kind[kept].astype(np.int32), number[target[kept]]
        order = np.lexsort((source, target))
        return cls(
            class_of=class_of.astype(np.int32),
            source=source[order],
            kind=kind[order],
            target=target[order],
            final=final[whole] if len(final) and whole[0] else np.zeros(0, bool),
        )

    @classmethod
    def from_moves(cls, classes: Array, moves: Array, accepting: Array) -> TokenAutomaton:
        """Build it from a table: token v leads from state s to `moves[s, classes[v]]`, -1 = nowhere."""
        source, kind = np.nonzero(moves >= 0)
        return cls.of(classes + 1, source, kind + 1, moves[source, kind], accepting)

    def lengths(self, most: int) -> range:
        """Return the least to the most tokens of an accepted sequence, `most` at most; empty if there is none."""
        states, found = np.arange(len(self.final)) == 0, []
        for length in range(most + 1):
            if (states & self.final).any():
                found.append(length)
            reached = np.zeros_like(states)
            reached[self.target[states[self.source]]] = True
            states = reached
        return range(found[0], found[-1] + 1) if found else range(0)


_NAMES = [field.name for field in fields(TokenAutomaton)]
_known: OrderedDict[str, TokenAutomaton] = OrderedDict()


def closed(source: Array, target: Array, start: Array) -> Array:
    """Return what the edges lead to from the states `start`, these included, as bool [S]."""
    order = np.argsort(source, kind="stable")
    target, first = target[order], np.searchsorted(source[order], np.arange(len(start) + 1))
    seen, todo = start.copy(), np.flatnonzero(start).tolist()
    while todo:
        state = todo.pop()
        after = target[first[state] : first[state + 1]]
        new = np.unique(after[~seen[after]])
        seen[new] = True
        todo.extend(new.tolist())
    return seen


def lift(dfa: Dfa, spelling: Spelling) -> TokenAutomaton:
    """Build the automaton of the token sequences whose bytes `dfa` accepts. Raises TooComplexError."""
    functions = _Functions(dfa)
    does = np.zeros(spelling.size, dtype=np.int64)  # the function of each token's bytes so far; 0 = identity
    lengths = np.diff(spelling.starts)
    alive = np.flatnonzero(lengths > 0) if len(dfa.final) else np.zeros(0, np.int64)
    does[lengths == 0] = -1
    depth = 0
    while len(alive):
        byte = dfa.class_of[spelling.data[spelling.starts[alive] + depth]]
        does[alive] = functions.after(does[alive], byte)
        depth += 1
        alive = alive[(does[alive] >= 0) & (lengths[alive] > depth)]
    if not len(dfa.final):
        does[:] = -1
    used, kind = np.unique(does, return_inverse=True)
    class_of = kind if len(used) and used[0] == -1 else kind + 1  # the dead class comes first
    edges = [(np.flatnonzero(row >= 0), row[row >= 0]) for row in (functions.rows[f] for f in used[used >= 0])]
    if sum(len(source) for source, _ in edges) > MOST_EDGES:
        raise TooComplexError("for this vocabulary the constraint")
    number = np.repeat(np.arange(1, len(edges) + 1), [len(source) for source, _ in edges])
    source, target = (np.concatenate([np.zeros(0, np.int32), *ends]) for ends in zip(*edges)) if edges else ([], [])
    source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
    return _merged(TokenAutomaton.of(class_of, source, number, target, dfa.final))


class _Functions:
    """Hold functions from states to states, each once; -1 is the one that leads nowhere from anywhere."""

    def __init__(self, dfa: Dfa) -> None:
        states, self._kinds = len(dfa.final), dfa.next.shape[1]
        self._next = np.concatenate((dfa.next, np.full((1, self._kinds), -1, np.int32)))  # of state -1 too
        self.rows: list[Array] = [np.arange(states, dtype=np.int32)]
        self._weights = np.random.default_rng(0).integers(1, 2**63, states, dtype=np.uint64) * 2 + 1
        self._known: dict[int, int] = {}  # function and byte -> function
        self._by_hash: dict[int, list[int]] = {}

    def after(self, functions: Array, bytes_: Array) -> Array:
        """Return the functions followed by bytes of the given kinds, both [n]."""
        keys, back = np.unique(functions * self._kinds + bytes_, return_inverse=True)
        return np.array([self._after(key) for key in keys.tolist()], dtype=np.int64)[back]

    def _after(self, key: int) -> int:
        if key not in self._known:
            row = self._next[self.rows[key // self._kinds], key % self._kinds]
            self._known[key] = self._number(row)
        return self._known[key]

    def _number(self, row: Array) -> int:
        if row.max() < 0:
            return -1
        same = self._by_hash.setdefault(int(((row + 2).astype(np.uint64) * self._weights).sum(dtype=np.uint64)), [])
        for number in same:
            if np.array_equal(self.rows[number], row):
                return number
        if len(self.rows) * len(row) > 8 * MOST_EDGES:
            raise TooComplexError("for this vocabulary the constraint")
        self.rows.append(row)
        same.append(len(self.rows) - 1)
        return same[-1]


def _merged(automaton: TokenAutomaton) -> TokenAutomaton:
    """Give one class to all tokens that do the same from the states that are left."""
    order = np.lexsort((automaton.source, automaton.kind))
    kind, pairs = automaton.kind[order], np.stack((automaton.source, automaton.target), 1)[order].astype(np.int32)
    groups: dict[bytes, int] = {}
    number = np.zeros(int(automaton.class_of.max(initial=0)) + 1, np.int32)
    starts = np.flatnonzero(np.diff(kind, prepend=0))
    for start, stop in zip(starts, np.append(starts[1:], len(kind))):
        number[kind[start]] = groups.setdefault(pairs[start:stop].tobytes(), len(groups) + 1)
    first = np.zeros(len(number), bool)  # of classes that became one, the first keeps its edges
    seen: set[int] = set()
    for one in range(1, len(number)):
        if number[one] and number[one] not in seen:
            first[one] = True
            seen.add(int(number[one]))
    kept = first[automaton.kind]
    return TokenAutomaton(
        class_of=number[automaton.class_of],
        source=automaton.source[kept],
        kind=number[automaton.kind[kept]],
        target=automaton.target[kept],
        final=automaton.final,
    )


def term_automaton(term: Term, vocabulary: Vocabulary) -> TokenAutomaton:
    """Return the token sequences that spell the texts of a term: from memory, from the disk, or made now.

    What a tokenizer writes before every text (a space) is part of them. Where the term is too large, long texts are
    left out (`compile_capped`). Raises RequestError if that does not suffice.
    """
    spelling = spell(vocabulary)
    spelled = seq(text(" "), term) if vocabulary.adds_space else term
    try:
        key = sha256(f"{FORMAT} {spelling.digest} {spelled!r}".encode()).hexdigest()
    except RecursionError:
        raise RequestError("the constraint is nested too deeply; write it flatter") from None
    automaton = _known.pop(key, None) or fetch(key)
    if automaton is None:
        automaton = _lifted(spelled, spelling)
        keep(key, automaton)
    _known[key] = automaton
    if len(_known) > _MOST_KNOWN:
        _known.popitem(last=False)
    return automaton


def _lifted(term: Term, spelling: Spelling) -> TokenAutomaton:
    for dfa in compile_capped(term):
        try:
            return lift(dfa, spelling)
        except TooComplexError:
            continue
    raise TooComplexError


def fetch(key: str) -> TokenAutomaton | None:
    """Read an automaton from the user's cache folder; None if there is none, or only a broken one."""
    try:
        held = load_file(_folder() / f"{key}.safetensors")
        return TokenAutomaton(**{name: held[name] for name in _NAMES})
    except (OSError, SafetensorError, KeyError):
        return None


def keep(key: str, automaton: TokenAutomaton) -> None:
    """Write an automaton to the user's cache folder; do nothing where nothing can be written."""
    with suppress(OSError):
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
        for file in files[: max(len(files) + 1 - MOST_FILES, 0)]:
            file.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:  # whole or not at all
            part.write(save({name: getattr(automaton, name) for name in _NAMES}))
        os.replace(part.name, folder / f"{key}.safetensors")


def _folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "lavida" / "constraints"
