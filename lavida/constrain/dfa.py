"""Compile a term to the smallest deterministic automaton over bytes, within fixed bounds on size and work.

The construction: Thompson's automaton, its subsets, then partition refinement. It is here because outlines-core 0.2.14
does not keep every text of a language (of `a|ab` only "a"), and a request is refused only if there is no answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from lavida.constrain.anchors import FIRST_MARK, anchor_table
from lavida.constrain.grammar import (
    ANY_NUMBER,
    SURROGATES,
    Alt,
    Anchored,
    Both,
    Chars,
    Listed,
    Mark,
    Multiple,
    Ranges,
    Repeat,
    Seq,
    Term,
    capped,
)
from lavida.constrain.nfa import Array, Budget, Nfa, TooComplexError
from lavida.errors import RequestError

CAPS = (256, 64, 24, 8, 3)  # repetitions that are tried in turn where all of them make too large an automaton


@dataclass(frozen=True, kw_only=True, eq=False)
class Dfa:
    """Hold an automaton over bytes; no state at all means the empty language.

    State 0 is the start; every state can be reached, and from every state an end can be reached.
    """

    next: Array  # int32 [S, K]: the state after a byte of class k, -1 = none
    class_of: Array  # uint8 [256]: the class of each byte
    final: Array  # bool [S]

    def accepts(self, text: str) -> bool:
        """Tell whether a text is in the language."""
        state = 0 if len(self.final) else -1
        for byte in text.encode("utf-8", "surrogatepass"):
            if state < 0:
                return False
            state = int(self.next[state, self.class_of[byte]])
        return state >= 0 and bool(self.final[state])


def compile_term(term: Term, budget: Budget | None = None) -> Dfa:
    """Compile a term. Raises RequestError if its automaton is too large."""
    nfa = _ByteNfa(budget or Budget())
    try:
        end = nfa.add(term, start := nfa.state())
    except RecursionError:
        raise RequestError("the constraint is nested too deeply; write it flatter") from None
    return minimal(*nfa.table(start, end))


def compile_capped(term: Term) -> Iterator[Dfa]:
    """Yield automata of a term, each without texts that the one before has: longer ones, by how often parts repeat.

    Only those that are small enough are yielded. Raises TooComplexError at the end, if they do not suffice.
    """
    tried = None
    for most in (None, *CAPS):
        narrower = term if most is None else capped(term, most)
        if narrower == tried:
            continue
        tried = narrower
        try:
            found = compile_term(narrower)
        except TooComplexError:
            continue
        yield found
    raise TooComplexError


class _ByteNfa(Nfa):
    """Hold Thompson's automaton of a term; labels are ranges of bytes."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self._labels: dict[tuple[int, int], int] = {}
        self._known: dict[int, tuple[Term, Dfa]] = {}

    def add(self, term: Term, start: int) -> int:
        """Write a term behind a state; return the state at its end, which has no moves yet."""
        match term:
            case Chars(ranges):
                return self._chars(ranges, start)
            case Seq(parts):
                for part in parts:
                    start = self.add(part, start)
                return start
            case Alt(parts):
                end = self.state()
                for part in parts:
                    self.skip(self.add(part, self.after(start)), end)
                return end
            case Repeat():
                return self._repeat(term, start)
            case Listed():
                return self._listed(term, start)
            case Mark(asserts):
                self._read(start, FIRST_MARK + asserts, FIRST_MARK + asserts, end := self.state())
                return end
        return self._embed(self._made(term), start, silent=isinstance(term, Anchored))

    def table(self, start: int, end: int) -> tuple[Array, Array, Array]:
        """Return transitions [S, K], byte classes [256] and final states [S] of the deterministic automaton."""
        edges = sorted({0, 256, *(edge for low, high in self._labels for edge in (low, high + 1))})
        first = {edge: k for k, edge in enumerate(edges)}
        members = [range(first[low], first[high + 1]) for low, high in self._labels]
        follow, final = self.determinise(start, end, members, len(edges) - 1)
        return follow, np.repeat(np.arange(len(edges) - 1), np.diff(edges)).astype(np.uint8), final

    def _read(self, start: int, low: int, high: int, end: int) -> None:
        self.link(start, self._labels.setdefault((low, high), len(self._labels)), end)

    def _chars(self, ranges: Ranges, start: int) -> int:
        end, tails = self.state(), {}
        self.budget.spend(len(ranges))
        for low, high in ranges:
            for spans in utf8_spans(low, high):
                here = end
                for depth in range(len(spans) - 1, 0, -1):  # equal tails share their states
                    tail = spans[depth:]
                    if tail not in tails:
                        tails[tail] = self.state()
                        self._read(tails[tail], *spans[depth], here)
                    here = tails[tail]
                self._read(start, *spans[0], here)
        return end

    def _repeat(self, term: Repeat, start: int) -> int:
        if term.most is not None and term.least > term.most:
            return self.state()
        for _ in range(term.least):
            start = self.add(term.part, self.after(start))
        end = self.state()
        if term.most is None or term.most >= ANY_NUMBER:
            start = self.after(start)
            self.skip(self.add(term.part, self.after(start)), start)
        else:
            for _ in range(term.most - term.least):
                self.skip(start, end)
                start = self.add(term.part, self.after(start))
        self.skip(start, end)
        return end

    def _listed(self, term: Listed, start: int) -> int:
        """Keep a state for each number of parts written so far; the last stands for more as well."""
        least = term.least if term.least > sum(term.needed) else 0
        most = term.most if term.most is not None and term.most < len(term.parts) else None
        last = max(least, 1) if most is None else most
        here = {0: self.after(start)}
        for part, needed in zip(term.parts, term.needed, strict=True):
            entries: dict[int, int] = {}  # of the part, by the number that it leads to
            for n, state in here.items():
                if n != most:
                    entry = entries.setdefault(min(n + 1, last), self.state())
                    self.skip(self.add(term.between, self.after(state)) if n else state, entry)
            behind = {} if needed else {n: self.after(state) for n, state in here.items()}
            for n, entry in entries.items():
                written = self.add(part, self.after(entry))
                self.skip(written, behind.setdefault(n, self.state()))
            here = behind
        end = self.state()
        for n, state in here.items():
            if n >= least:
                self.skip(state, end)
        return end

    def _made(self, term: Term) -> Dfa:
        """Return an automaton of its own, made once however often the term is repeated."""
        if id(term) not in self._known:
            match term:
                case Both(left, right):
                    made = intersection(compile_term(left, self.budget), compile_term(right, self.budget), self.budget)
                case Anchored(part, escaped):
                    made = intersection(compile_term(part, self.budget), _anchors(escaped), self.budget)
                case Multiple(of):
                    made = _multiples(of)
                case _:
                    raise TypeError(f"{term!r} is no term")
            self._known[id(term)] = term, made  # the term is held, so that its id stays its own
        return self._known[id(term)][1]

    def _embed(self, dfa: Dfa, start: int, *, silent: bool) -> int:
        """Write an automaton behind a state; `silent` makes its moves on marks read nothing."""
        end, states = self.state(), [self.state() for _ in dfa.final]
        for first in states[:1]:
            self.skip(start, first)
        starts = [0, *(np.flatnonzero(np.diff(dfa.class_of)) + 1).tolist(), 256]
        spans: list[list[tuple[int, int]]] = [[] for _ in range(dfa.next.shape[1])]  # of bytes, by class
        for low, high in zip(starts, starts[1:]):
            spans[dfa.class_of[low]].append((low, high - 1))
        for state, row in zip(states, dfa.next.tolist(), strict=True):
            for k, to in enumerate(row):
                for low, high in spans[k] if to >= 0 else ():
                    if silent and low >= FIRST_MARK:
                        self.skip(state, states[to])
                    else:
                        self._read(state, low, high, states[to])
        for final in np.flatnonzero(dfa.final).tolist():
            self.skip(states[final], end)
        return end


@lru_cache(maxsize=4096)
def utf8_spans(low: int, high: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return the UTF-8 of the code points low..high as sequences of byte ranges; surrogates have none."""
    if low > high:
        return ()
    if low <= SURROGATES[1] and high >= SURROGATES[0]:
        return utf8_spans(low, SURROGATES[0] - 1) + utf8_spans(SURROGATES[1] + 1, high)
    cuts = [limit + 1 for limit in (0x7F, 0x7FF, 0xFFFF) if low <= limit < high]  # where another length begins
    for bits in (6, 12, 18) if low > 0x7F and not cuts else ():
        rest = (1 << bits) - 1
        if low & ~rest != high & ~rest and (low & rest or high & rest != rest):
            cuts = [(low | rest) + 1 if low & rest else high & ~rest]
            break
    if cuts:
        return utf8_spans(low, cuts[0] - 1) + utf8_spans(cuts[0], high)
    return (tuple(zip(chr(low).encode(), chr(high).encode(), strict=True)),)


def intersection(left: Dfa, right: Dfa, budget: Budget | None = None) -> Dfa:
    """Return the automaton of the texts that both accept. Raises TooComplexError."""
    budget = budget or Budget()
    both, class_of = np.unique(left.class_of.astype(int) * 256 + right.class_of, return_inverse=True)
    a, b, width = both // 256, both % 256, len(right.final)
    numbers, rows = {0: 0}, []
    todo = [0] if len(left.final) and width else []
    for pair in todo:
        one, other = left.next[pair // width, a], right.next[pair % width, b]
        row = []
        for key in np.where((one >= 0) & (other >= 0), one.astype(int) * width + other, -1).tolist():
            if key >= 0 and key not in numbers:
                numbers[key] = len(todo)
                todo.append(key)
            row.append(numbers[key] if key >= 0 else -1)
        rows.append(row)
        budget.spend(len(row) // 4 + 1)
        if len(todo) > budget.states:
            raise TooComplexError
    pairs = np.array(todo, dtype=int)
    final = left.final[pairs // max(width, 1)] & right.final[pairs % max(width, 1)] if todo else np.zeros(0, bool)
    return minimal(np.array(rows, dtype=np.int32).reshape(-1, len(both)), class_of.astype(np.uint8), final)


@lru_cache(maxsize=64)
def _multiples(of: int) -> Dfa:
    """Read digits as a number modulo `of`; the start is told apart because it holds no digit."""
    states = np.arange(of)[:, None] * 10 + np.arange(10)
    follow = np.full((of + 1, 11), -1, dtype=np.int32)
    follow[1:, 1:] = states % of + 1
    follow[0] = follow[1]
    class_of = np.zeros(256, np.uint8)
    class_of[48:58] = np.arange(1, 11)
    return minimal(follow, class_of, np.arange(of + 1) == 1)


@cache
def _anchors(escaped: bool) -> Dfa:
    """Accept the texts whose marks assert what is true."""
    follow, final = anchor_table(escaped)
    return minimal(follow, np.arange(256, dtype=np.uint8), final)


def minimal(follow: Array, class_of: Array, final: Array) -> Dfa:
    """Return the smallest automaton of the same language, its states numbered as they are first met."""
    alive = _alive(follow, final)
    if not alive[:1].any():
        return Dfa(next=np.zeros((0, 1), np.int32), class_of=np.zeros(256, np.uint8), final=np.zeros(0, bool))
    follow = np.where(np.append(alive, False)[follow], follow, -1)  # nothing leads to where no end is reached
    group = np.unique(_refine(follow, final), return_inverse=True)[1]
    member = np.unique(group, return_index=True)[1]
    follow = np.where(follow < 0, -1, group[follow])[member]
    number, order = {int(group[0]): 0}, [int(group[0])]
    for state in order:
        for to in dict.fromkeys(follow[state].tolist()):
            if to >= 0 and to not in number:
                number[to] = len(order)
                order.append(to)
    names = np.full(len(member) + 1, -1, dtype=np.int32)  # the last stands for -1
    names[order] = np.arange(len(order))
    follow, final = names[follow[order]], final[member][order]
    columns, kinds = np.unique(follow, axis=1, return_inverse=True)
    return Dfa(next=np.ascontiguousarray(columns), class_of=kinds.reshape(-1)[class_of].astype(np.uint8), final=final)


def _alive(follow: Array, final: Array) -> Array:
    """Return bool [S]: whether an end can be reached."""
    before = _predecessors(follow)
    alive, stack = final.tolist(), np.flatnonzero(final).tolist()
    while stack:
        for state in before[stack.pop()]:
            if not alive[state]:
                alive[state] = True
                stack.append(state)
    return np.array(alive, dtype=bool)


def _predecessors(follow: Array) -> list[list[int]]:
    before: list[list[int]] = [[] for _ in follow]
    source, column = np.nonzero(follow >= 0)
    for state, to in zip(source.tolist(), follow[source, column].tolist(), strict=True):
        before[to].append(state)
    return before


def _refine(follow: Array, final: Array) -> Array:
    """Return the group [S] of each state: states of one group have the same futures.

    Partition refinement that looks again only at states whose successors have changed groups: long chains, which
    counted repeats make, would otherwise take a round over everything for each of their links.
    """
    rows, group = follow.tolist(), [*final.astype(int).tolist(), -1]  # the last stands for no successor
    before = _predecessors(follow)
    members = [set(np.flatnonzero(~final).tolist()), set(np.flatnonzero(final).tolist())]
    touched = set(range(len(rows)))
    while touched:
        kinds: dict[int, dict[tuple[int, ...], list[int]]] = {}
        for state in touched:
            future = tuple([group[to] for to in rows[state]])
            kinds.setdefault(group[state], {}).setdefault(future, []).append(state)
        apart: list[list[int]] = []
        for g, by_future in kinds.items():
            rest = next((s for s in members[g] if s not in touched), None)  # those not touched still agree
            stays = (
                max(by_future, key=lambda future: len(by_future[future]))
                if rest is None
                else tuple([group[to] for to in rows[rest]])
            )
            apart.extend(states for future, states in by_future.items() if future != stays)
        for states in apart:
            members[group[states[0]]].difference_update(states)
            members.append(set(states))
            for state in states:
                group[state] = len(members) - 1
        touched = {one for states in apart for state in states for one in before[state]}
    return np.array(group[:-1])
