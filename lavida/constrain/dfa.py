"""From a term to the smallest deterministic automaton over bytes, within fixed bounds on size and work.

The library that was tried does not keep every text of a language: outlines-core 0.2.14 takes the first alternative
that matches (of `a|ab` only "a" is left) and loses all but the first of `é+`. A request is to be refused only if there
is no answer, so the construction is here: Thompson's automaton, its subsets, then partition refinement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lavida.constrain.grammar import SURROGATES, Alt, Both, Chars, Listed, Multiple, Ranges, Repeat, Seq, Term
from lavida.errors import RequestError

MOST_PARTS = 40_000  # states of the nondeterministic automaton
MOST_STATES = 8_000
MOST_WORK = 500_000  # states looked at while subsets are made; bounds the time to about a second

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dfa:
    """State 0 is the start; every state is reachable and can still end well. No state at all: the empty language."""

    next: Array  # int32 [S, K]: the state after a byte of class k, -1 = none
    class_of: Array  # uint8 [256]: the class of each byte
    final: Array  # bool [S]

    def accepts(self, text: str) -> bool:
        """Whether a text is in the language."""
        state = 0 if len(self.final) else -1
        for byte in text.encode("utf-8", "surrogatepass"):
            if state < 0:
                return False
            state = int(self.next[state, self.class_of[byte]])
        return state >= 0 and bool(self.final[state])


def compile_term(term: Term) -> Dfa:
    """The automaton of a term. Raises RequestError if it is too large."""
    try:
        nfa = _Nfa()
        end = nfa.add(term, 0)
    except RecursionError:
        raise RequestError("the constraint is nested too deeply; write it flatter") from None
    return _minimal(*_subsets(nfa, end))


class _Nfa:
    """Thompson's automaton: from each state some free moves and some on a range of bytes."""

    def __init__(self) -> None:
        self.free: list[list[int]] = [[]]
        self.moves: list[list[tuple[int, int, int]]] = [[]]  # first byte, last byte, state
        self._closures: dict[int, tuple[int, ...]] = {}
        self._known: dict[int, tuple[Term, Dfa]] = {}
        self._work = 0

    def state(self) -> int:
        if len(self.free) >= MOST_PARTS:
            raise _too_large()
        self.free.append([])
        self.moves.append([])
        return len(self.free) - 1

    def add(self, term: Term, start: int) -> int:
        """Write a term behind a state; the state at its end, which has no moves yet."""
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
                    self.free[self.add(part, self._after(start))].append(end)
                return end
            case Repeat():
                return self._repeat(term, start)
            case Listed():
                return self._listed(term, start)
            case Both() | Multiple():
                return self._embed(self._compiled(term), start)

    def _after(self, start: int) -> int:
        self.free[start].append(state := self.state())
        return state

    def _chars(self, ranges: Ranges, start: int) -> int:
        end, tails = self.state(), {}
        for low, high in ranges:
            for spans in _spans(low, high):
                here = end
                for depth in range(len(spans) - 1, 0, -1):  # equal tails share their states
                    tail = spans[depth:]
                    if tail not in tails:
                        tails[tail] = self.state()
                        self.moves[tails[tail]].append((*spans[depth], here))
                    here = tails[tail]
                self.moves[start].append((*spans[0], here))
        return end

    def _repeat(self, term: Repeat, start: int) -> int:
        if term.most is not None and term.least > term.most:
            return self.state()
        for _ in range(term.least):
            start = self.add(term.part, self._after(start))
        end = self.state()
        if term.most is None:
            loop = self._after(start)
            self.free[loop].append(end)
            self.free[self.add(term.part, self._after(loop))].append(loop)
            return end
        for _ in range(term.most - term.least):
            self.free[start].append(end)
            start = self.add(term.part, self._after(start))
        self.free[start].append(end)
        return end

    def _listed(self, term: Listed, start: int) -> int:
        """One path on which nothing was written yet and one on which something was; a part is entered from both."""
        none, some = self._after(start), self.state()
        for part, needed in zip(term.parts, term.needed, strict=True):
            entry = self._after(none)
            self.free[self.add(term.between, self._after(some))].append(entry)
            next_none, next_some = self.state(), self.state()
            self.free[self.add(part, entry)].append(next_some)
            if not needed:
                self.free[none].append(next_none)
                self.free[some].append(next_some)
            none, some = next_none, next_some
        end = self._after(none)
        self.free[some].append(end)
        return end

    def _compiled(self, term: Both | Multiple) -> Dfa:
        """An automaton of its own, made once however often the term is repeated."""
        if id(term) not in self._known:
            made = (
                _multiples(term.of)
                if isinstance(term, Multiple)
                else intersection(compile_term(term.left), compile_term(term.right))
            )
            self._known[id(term)] = term, made  # the term is held, so that its id stays its own
        return self._known[id(term)][1]

    def _embed(self, dfa: Dfa, start: int) -> int:
        end, states = self.state(), [self.state() for _ in dfa.final]
        self.free[start].extend(states[:1])
        bytes_of = [np.flatnonzero(dfa.class_of == k).tolist() for k in range(dfa.next.shape[1])]
        for state, row in zip(states, dfa.next.tolist(), strict=True):
            for k, to in enumerate(row):
                if to >= 0:
                    self.moves[state].extend((low, high, states[to]) for low, high in _runs(bytes_of[k]))
        for state in np.flatnonzero(dfa.final):
            self.free[states[state]].append(end)
        return end

    def closure(self, state: int) -> tuple[int, ...]:
        """Where free moves lead from a state: those that have other moves, or none at all."""
        if state not in self._closures:
            seen, stack = {state}, [state]
            while stack:
                for to in self.free[stack.pop()]:
                    if to not in seen:
                        seen.add(to)
                        stack.append(to)
            self.worked(len(seen))
            self._closures[state] = tuple(s for s in seen if self.moves[s] or not self.free[s])
        return self._closures[state]

    def worked(self, amount: int) -> None:
        """Raises RequestError when too much was done."""
        self._work += amount
        if self._work > MOST_WORK:
            raise _too_large()


@lru_cache(maxsize=4096)
def _spans(low: int, high: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(utf8_spans(low, high))


def utf8_spans(low: int, high: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """The UTF-8 of the code points low..high as sequences of byte ranges; surrogates have none."""
    if low <= SURROGATES[1] and high >= SURROGATES[0]:
        parts = ((low, SURROGATES[0] - 1), (SURROGATES[1] + 1, high))
        yield from (spans for a, b in parts if a <= b for spans in utf8_spans(a, b))
        return
    for limit in (0x7F, 0x7FF, 0xFFFF):  # the last code points of one, two and three bytes
        if low <= limit < high:
            yield from utf8_spans(low, limit)
            yield from utf8_spans(limit + 1, high)
            return
    for bits in (6, 12, 18) if low > 0x7F else ():
        rest = (1 << bits) - 1
        if low & ~rest == high & ~rest:
            break
        cut = (low | rest) + 1 if low & rest else high & ~rest if high & rest != rest else None
        if cut is not None:
            yield from utf8_spans(low, cut - 1)
            yield from utf8_spans(cut, high)
            return
    yield tuple(zip(chr(low).encode(), chr(high).encode(), strict=True))


def intersection(left: Dfa, right: Dfa) -> Dfa:
    """The automaton of the texts that both accept. Raises RequestError if it is too large."""
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
        if len(todo) > MOST_STATES:
            raise _too_large()
    pairs = np.array(todo, dtype=int)
    final = left.final[pairs // max(width, 1)] & right.final[pairs % max(width, 1)] if todo else np.zeros(0, bool)
    return _minimal(np.array(rows, dtype=np.int32).reshape(-1, len(both)), class_of.astype(np.uint8), final)


def _multiples(of: int) -> Dfa:
    """Digits, read as a number modulo `of`; the start is told apart because it holds no digit."""
    states = np.arange(of)[:, None] * 10 + np.arange(10)
    follow = np.full((of + 1, 11), -1, dtype=np.int32)
    follow[1:, 1:] = states % of + 1
    follow[0] = follow[1]
    class_of = np.zeros(256, np.uint8)
    class_of[48:58] = np.arange(1, 11)
    return _minimal(follow, class_of, np.arange(of + 1) == 1)


def _subsets(nfa: _Nfa, end: int) -> tuple[Array, Array, Array]:
    """Transitions [S, K], byte classes and final states of the automaton whose states are sets of those of `nfa`."""
    edges = sorted({0, 256, *(e for moves in nfa.moves for low, high, _ in moves for e in (low, high + 1))})
    class_of = np.repeat(np.arange(len(edges) - 1), np.diff(edges)).astype(np.uint8)
    first = {edge: k for k, edge in enumerate(edges)}
    start = frozenset(nfa.closure(0))
    numbers, known, todo = {start: 0}, {frozenset((0,)): 0}, [start]
    rows: list[dict[int, int]] = []
    for subset in todo:
        reached: dict[int, set[int]] = {}
        for state in subset:
            for low, high, to in nfa.moves[state]:
                for k in range(first[low], first[high + 1]):
                    reached.setdefault(k, set()).add(to)
        row = {}
        for k, heads in reached.items():
            key = frozenset(heads)
            if key not in known:
                whole = frozenset(s for head in key for s in nfa.closure(head))
                nfa.worked(len(whole))
                if whole not in numbers:
                    numbers[whole] = len(todo)
                    todo.append(whole)
                known[key] = numbers[whole]
            row[k] = known[key]
        rows.append(row)
        nfa.worked(len(subset) + sum(map(len, reached.values())))
        if len(todo) > MOST_STATES:
            raise _too_large()
    follow = np.full((len(rows), len(edges) - 1), -1, dtype=np.int32)
    for state, row in enumerate(rows):
        follow[state, list(row)] = list(row.values())
    return follow, class_of, np.array([end in subset for subset in todo])


def _minimal(follow: Array, class_of: Array, final: Array) -> Dfa:
    """The smallest automaton of the same language, its states numbered as they are first met."""
    follow = _trim(follow, final)
    if not len(follow) or not final.any() or not _alive(follow, final)[0]:
        return Dfa(next=np.zeros((0, 1), np.int32), class_of=np.zeros(256, np.uint8), final=np.zeros(0, bool))
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


def _trim(follow: Array, final: Array) -> Array:
    """The same transitions without those that lead to a state from which no end is reached."""
    alive = np.append(_alive(follow, final), False)
    return np.where(alive[follow], follow, -1)


def _alive(follow: Array, final: Array) -> Array:
    """Bool [S]: whether an end can be reached."""
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
    """The group [S] of each state: states of one group have the same futures.

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


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    start = 0
    for i in range(1, len(numbers) + 1):
        if i == len(numbers) or numbers[i] != numbers[i - 1] + 1:
            yield numbers[start], numbers[i - 1]
            start = i


def _too_large() -> RequestError:
    return RequestError("the constraint is too complex; use fewer alternatives, smaller counts, or no nested ones")
