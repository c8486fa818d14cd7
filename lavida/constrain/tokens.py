"""Build automata over tokens: lift those over bytes, which are kept in the user's cache folder, or write them by moves.

What a token does is a function from states to states, the composition of what its bytes do. Tokens of equal functions
form a class, and there are few classes even for a large vocabulary: where a constraint says "a string of at most 40
characters", all words of five letters do the same. So functions are composed once for each function and kind of byte
that may follow it, not once for each token.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from lavida.constrain.dfa import Dfa, compile_capped
from lavida.constrain.grammar import Term, seq, text
from lavida.constrain.nfa import Array, Budget, Nfa, TooComplexError
from lavida.errors import RequestError
from lavida.text.spelling import Spelling, spell
from lavida.text.tokenizer import Vocabulary

MOST_EDGES = 6_000_000
FORMAT = 2  # of kept automata; raised when terms come to mean something else
MOST_FILES = 256


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
        """Build the automaton of what leads from one state to another. Raises TooComplexError.

        Tokens that no move tells apart form a class, so the table has a column for each class, 0 for that of no move.
        """
        code = np.zeros(self._tokens, dtype=np.int64)
        used = np.zeros(self._tokens, dtype=bool)
        for ids in self._sets:
            used[ids] = True
            if len(ids) > 1:
                code = np.unique(code * 2 + np.isin(np.arange(self._tokens), ids), return_inverse=True)[1]
        alone = np.unique([ids[0] for ids in self._sets if len(ids) == 1]).astype(np.int64)
        code[alone] = code.max() + 1 + np.arange(len(alone))  # a token with a move of its own is a class of its own
        code = np.where(used, np.unique(code, return_inverse=True)[1] + 1, 0)
        members = [np.unique(code[ids]).tolist() for ids in self._sets]
        return TokenAutomaton.from_moves(code, *self.determinise(start, end, members, int(code.max()) + 1))


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
    lengths = np.diff(spelling.starts) if len(dfa.final) else np.zeros(spelling.size, np.int64)
    does = np.where(lengths > 0, 0, -1)  # the function of each token's bytes so far; 0 = identity
    alive, depth = np.flatnonzero(lengths > 0), 0
    while len(alive):
        byte = dfa.class_of[spelling.data[spelling.starts[alive] + depth]]
        does[alive] = functions.after(does[alive], byte)
        depth += 1
        alive = alive[(does[alive] >= 0) & (lengths[alive] > depth)]
    used, kind = np.unique(does, return_inverse=True)
    class_of = kind if len(used) and used[0] == -1 else kind + 1  # the dead class comes first
    edges = [(np.flatnonzero(row >= 0), row[row >= 0]) for row in (functions.rows[f] for f in used[used >= 0])]
    sizes = [len(source) for source, _ in edges]
    if sum(sizes) > MOST_EDGES:
        raise TooComplexError("for this vocabulary the constraint")
    number = np.repeat(np.arange(1, len(edges) + 1), sizes)
    nothing = (np.zeros(0, np.int64),) * 2
    source, target = (np.concatenate(ends).astype(np.int64) for ends in zip(nothing, *edges, strict=True))
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
        for key in keys.tolist():
            if key not in self._known:
                self._known[key] = self._number(self._next[self.rows[key // self._kinds], key % self._kinds])
        return np.array([self._known[key] for key in keys.tolist()], dtype=np.int64)[back]

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
    kinds, starts = np.unique(kind, return_index=True)
    does = [edges.tobytes() for edges in np.split(pairs, starts[1:])] if len(kinds) else []
    groups = {edges: n for n, edges in enumerate(dict.fromkeys(does), 1)}
    number = np.zeros(int(automaton.class_of.max(initial=0)) + 1, np.int32)
    number[kinds] = [groups[edges] for edges in does]
    first = np.zeros(len(number), bool)  # of classes that became one, the first keeps its edges
    first[kinds[np.unique(number[kinds], return_index=True)[1]]] = True
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
    try:
        return _term_automaton(seq(text(" "), term) if vocabulary.adds_space else term, spell(vocabulary))
    except RecursionError:
        raise RequestError("the constraint is nested too deeply; write it flatter") from None


@lru_cache(maxsize=32)
def _term_automaton(term: Term, spelling: Spelling) -> TokenAutomaton:
    key = sha256(f"{FORMAT} {spelling.digest} {term!r}".encode()).hexdigest()
    found = fetch(key)
    for dfa in compile_capped(term) if found is None else ():
        with suppress(TooComplexError):
            found = lift(dfa, spelling)
            keep(key, found)
            break
    if found is None:
        raise TooComplexError
    return found


def fetch(key: str) -> TokenAutomaton | None:
    """Read an automaton from the user's cache folder; None if there is none, or only a broken one."""
    try:
        return TokenAutomaton(**load_file(_folder() / f"{key}.safetensors"))
    except (OSError, SafetensorError, TypeError):
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
            part.write(save(vars(automaton)))
        os.replace(part.name, folder / f"{key}.safetensors")


def _folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "lavida" / "constraints"
