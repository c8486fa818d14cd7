"""Hold an automaton against a canvas: which tokens each open position may take, and which of them go together.

For a canvas in which some positions are masked, F_i are the states that some filling of the positions before i leads
to, B_i those from which some filling of the positions from i on is accepted. Token v fits at an open position i alone
if it leads from F_i to B_(i+1). Several tokens chosen at once need not fit together; then the likeliest that do are
found by the Viterbi algorithm over positions and states (as DINGO does for whole blocks, arXiv 2505.23061).

End tokens lead from every accepting state to a last one, which they do not leave: a canvas ends in an accepting state
at its edge, or in padding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import copy
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from lavida.config import DenoiserConfig
from lavida.constrain.language import Language
from lavida.constrain.nfa import Array
from lavida.constrain.tokens import TokenAutomaton
from lavida.errors import RequestError
from lavida.text.tokenizer import Vocabulary

_WORST = 1e30  # stands for infinity


class CanvasConstraint:
    """Implement `lavida.constrain.base.Constraint`: a text of the automaton, and behind it nothing but end tokens.

    Args:
        automaton: The token sequences of the language.
        vocab_size: V, the tokens of the model; ids that the automaton does not know are never written.
        mask_id: The mask token.
        eos_ids: The end tokens, which pad the canvas.
        banned: Ids that are never written, but may be given.
    """

    def __init__(
        self,
        automaton: TokenAutomaton,
        *,
        vocab_size: int,
        mask_id: int,
        eos_ids: Collection[int],
        banned: Collection[int] = (),
    ) -> None:
        last, ends = len(automaton.final), np.flatnonzero(automaton.final)
        end_kind = int(automaton.class_of.max(initial=0)) + 1
        self._empty, self._mask_id = last == 0, mask_id
        self._ends = np.append(automaton.final, True)  # bool [S]
        self._source = np.concatenate((automaton.source, ends, [last]))
        self._target = np.concatenate((automaton.target, np.full(len(ends) + 1, last)))  # stays sorted
        self._kind = np.concatenate((automaton.kind, np.full(len(ends) + 1, end_kind)))
        self._class_of = np.zeros(vocab_size, np.int32)  # of a token that is given
        self._class_of[: len(automaton.class_of)] = automaton.class_of[:vocab_size]
        self._class_of[list(eos_ids)] = end_kind
        self._writes = self._class_of.copy()  # of a token that may be written
        self._writes[[i for i in (*banned, mask_id) if i < vocab_size]] = 0
        self._tokens = np.argsort(self._writes, kind="stable")[np.count_nonzero(self._writes == 0) :]  # by class
        self._first = np.searchsorted(self._writes[self._tokens], np.arange(end_kind + 2))
        self._open = np.flatnonzero(np.diff(self._first)[self._kind] > 0)  # edges that an open position may take
        by_kind = np.argsort(self._kind, kind="stable")
        self._of_kind = np.split(by_kind, np.searchsorted(self._kind[by_kind], np.arange(1, end_kind + 1)))
        self._seen: tuple[Array, Array, Array] | None = None

    def check(self, ids: Tensor) -> None:
        """Raise RequestError if the canvas [L] cannot be completed, naming the shortest that can."""
        if self._empty:
            raise RequestError("the constraint allows no text at all; loosen it")
        _, forward, _ = self._reach(_array(ids))
        if (forward[-1] & self._ends).any():
            return
        length, shortest = len(ids), self.shortest()
        if shortest is None:
            raise RequestError("the tokens of this model cannot write any text that the constraint allows; loosen it")
        if length >= shortest:
            raise RequestError("no text that the constraint allows fits what the canvas holds; change it or its length")
        raise RequestError(
            f"{length} tokens cannot hold the shortest text that the constraint allows, which needs {shortest}; "
            f"set length to {shortest} or more"
        )

    def allowed(self, ids: Tensor, rows: Tensor) -> Tensor:
        """Return the tokens that lead from F_i to B_(i+1) at each of the open positions `rows` [n], as bool [n, V]."""
        _, forward, backward = self._reach(_array(ids))
        fits = np.zeros((len(rows), len(self._first)), bool)
        for fit, i in zip(fits, rows.tolist(), strict=True):
            edges = self._edges(forward[i], self._mask_id, backward[i + 1])
            fit[self._kind[edges]] = True
        return torch.from_numpy(fits[:, self._writes])

    def commit(self, ids: Tensor, rows: Tensor, candidates: Tensor, chosen: Tensor, logits: Tensor) -> Tensor:
        """Return the candidates of the chosen rows if they go together, else the likeliest tokens that do."""
        if not len(chosen):
            return candidates[chosen]
        canvas, forward, backward = self._reach(_array(ids))
        places, wanted = _array(rows[chosen]), _array(candidates[chosen])
        written = canvas.copy()
        written[places] = wanted
        first, last = int(places.min()), int(places.max())
        states = self._forward(written[first : last + 1], forward[first])[-1]
        if self._writes[wanted].all() and (states & backward[last + 1]).any():
            return candidates[chosen]
        weights = _array(logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits)
        kinds = self._likeliest(canvas, forward, backward, _array(rows), self._best_of_kind(weights))
        picked = [self._token(weights[n], kinds[i]) for n, i in zip(chosen.tolist(), places.tolist(), strict=True)]
        return torch.tensor(picked, dtype=candidates.dtype, device=candidates.device)

    def shortest(self) -> int | None:
        """Return the number of tokens of the shortest text that can be written; None if there is none."""
        states, seen = np.arange(len(self._ends)) == 0, np.zeros(len(self._ends), bool)
        for length in range(len(states)):
            if (states & self._ends).any():
                return length
            seen |= states
            reached = np.zeros_like(seen)
            reached[self._target[self._edges(states, self._mask_id)]] = True
            states = reached & ~seen
        return None

    def _edges(self, states: Array, token: int, goals: Array | None = None) -> Array:
        """Return the edges [E'] out of `states`, into `goals`, that a token takes; a mask token takes any."""
        edges = self._open if token == self._mask_id else self._of_kind[self._class_of[token]]
        live = states[self._source[edges]]
        if goals is not None:
            live &= goals[self._target[edges]]
        return edges[live]

    def _forward(self, ids: Array, start: Array) -> Array:
        """Return F of the positions of a part of the canvas [n] and of the one behind it, as bool [n + 1, S]."""
        states = np.zeros((len(ids) + 1, len(start)), bool)
        states[0] = start
        for i, token in enumerate(ids.tolist()):
            states[i + 1, self._target[self._edges(states[i], token)]] = True
        return states

    def _backward(self, ids: Array, goal: Array) -> Array:
        states = np.zeros((len(ids) + 1, len(goal)), bool)
        states[-1] = goal
        for i in range(len(ids) - 1, -1, -1):
            states[i, self._source[self._edges(np.ones_like(goal), int(ids[i]), states[i + 1])]] = True
        return states

    def _reach(self, ids: Array) -> tuple[Array, Array, Array]:
        """Return the canvas [L], F and B, both bool [L + 1, S]; only what changed since the last canvas is computed."""
        seen = self._seen  # read and written at once: several threads may share a constraint
        if seen is None or len(seen[0]) != len(ids):
            start = np.arange(len(self._ends)) == 0
            seen = ids.copy(), self._forward(ids, start), self._backward(ids, self._ends)
        before, forward, backward = seen
        changed = np.flatnonzero(before != ids)
        if len(changed):
            first, last = changed[0], changed[-1] + 1
            forward = np.concatenate((forward[:first], self._forward(ids[first:], forward[first])))
            backward = np.concatenate((self._backward(ids[:last], backward[last]), backward[last + 1 :]))
            seen = ids.copy(), forward, backward
        self._seen = seen
        return seen

    def _best_of_kind(self, weights: Array) -> Array:
        """Return the weight of each class's likeliest token, [n, classes], from weights [n, V]."""
        best = np.full((len(weights), len(self._first)), -_WORST)
        kinds = np.flatnonzero(np.diff(self._first))
        if len(kinds):
            best[:, kinds] = np.maximum.reduceat(weights.take(self._tokens, 1), self._first[kinds], axis=1)
        return np.nan_to_num(best, nan=-_WORST, posinf=_WORST, neginf=-_WORST)  # so that they can be added

    def _token(self, weights: Array, kind: int) -> int:
        tokens = self._tokens[self._first[kind] : self._first[kind + 1]]
        return int(tokens[weights[tokens].argmax()])

    def _likeliest(self, ids: Array, forward: Array, backward: Array, rows: Array, best: Array) -> dict[int, int]:
        """Return the classes of the rows on the path of the largest total weight; other positions weigh nothing."""
        first, last = int(rows.min()), int(rows.max())
        index = {int(row): n for n, row in enumerate(rows)}
        value = np.where(forward[first], 0.0, -np.inf)
        steps: list[tuple[Array, Array]] = []
        for i in range(first, last + 1):
            edges = self._edges(forward[i], int(ids[i]), backward[i + 1])
            total = value[self._source[edges]]
            if i in index:
                total = total + best[index[i], self._kind[edges]]
            starts = np.flatnonzero(np.diff(self._target[edges], prepend=-1))  # edges are sorted by target
            value = np.full(len(value), -np.inf)
            value[self._target[edges][starts]] = np.maximum.reduceat(total, starts)
            steps.append((edges, total))
        state = int(np.where(backward[last + 1], value, -np.inf).argmax())
        kinds: dict[int, int] = {}
        for i in range(last, first - 1, -1):
            edges, total = steps[i - first]
            here = np.flatnonzero(self._target[edges] == state)
            edge = edges[here[total[here].argmax()]]
            kinds[i], state = int(self._kind[edge]), int(self._source[edge])
        return kinds


def constraint_of(
    language: Language, vocabulary: Vocabulary, denoiser: DenoiserConfig, banned: Collection[int] = ()
) -> CanvasConstraint:
    """Return the constraint of a language on the canvas of a model, which never writes `banned`.

    The second call with the same arguments is cheap. Raises RequestError if the language makes no automaton.
    """
    try:
        hash(language)
    except TypeError:  # one of the user's own, which cannot be found again
        return _build(language, vocabulary, denoiser, tuple(banned))
    # requests share its tables, but each remembers its own canvas
    return copy(_built(language, vocabulary, denoiser, tuple(banned)))


def _build(
    language: Language, vocabulary: Vocabulary, denoiser: DenoiserConfig, banned: tuple[int, ...]
) -> CanvasConstraint:
    automaton, vocab_size, mask_id = language.automaton(vocabulary), denoiser.vocab_size, denoiser.mask_id
    return CanvasConstraint(automaton, vocab_size=vocab_size, mask_id=mask_id, eos_ids=denoiser.eos_ids, banned=banned)


_built: Callable[..., CanvasConstraint] = lru_cache(maxsize=16)(_build)


def _array(values: Tensor) -> Array:
    return values.cpu().numpy()
