"""Against brute force: on a vocabulary of a dozen tokens, all canvases can be listed."""

from __future__ import annotations

import itertools
import random
import re

import pytest
import torch

from lavida.constrain.canvas import CanvasConstraint
from lavida.constrain.dfa import compile_term
from lavida.constrain.regex import regex_term
from lavida.constrain.tokens import TokenAutomaton, lift
from lavida.errors import RequestError
from lavida.text.spelling import Spelling

MASK, END, OTHER_END = 0, 1, 2
TOKENS = [b"", b"", b"", b"a", b"b", b"ab", b"ba", b"aab", b"c", "é".encode()[:1], "é".encode()[1:], b"bc"]
SPELLING = Spelling.of(TOKENS)
VOCABULARY = len(TOKENS) + 1  # with a row that stands for nothing


def automaton(pattern: str) -> TokenAutomaton:
    return lift(compile_term(regex_term(pattern)), SPELLING)


def constraint(pattern: str, banned: tuple[int, ...] = ()) -> CanvasConstraint:
    ends = (END, OTHER_END)
    return CanvasConstraint(automaton(pattern), vocab_size=VOCABULARY, mask_id=MASK, eos_ids=ends, banned=banned)


def text_of(ids: tuple[int, ...]) -> str | None:
    """What a canvas says; None if something else than an end stands behind an end, or it is no text."""
    kept = list(itertools.takewhile(lambda i: i not in (END, OTHER_END), ids))
    spelled = [SPELLING.bytes_of(i) if i < SPELLING.size else b"" for i in kept]
    if not all(spelled) or not all(i in (END, OTHER_END) for i in ids[len(kept) :]):
        return None
    try:
        return b"".join(spelled).decode()
    except UnicodeDecodeError:
        return None


def completions(pattern: str, ids: list[int], banned: tuple[int, ...]) -> list[tuple[int, ...]]:
    free = [t for t in range(1, VOCABULARY) if t not in banned]
    every = itertools.product(*(free if i == MASK else [i] for i in ids))
    return [one for one in every if (text := text_of(one)) is not None and re.fullmatch(pattern, text)]


@pytest.mark.parametrize(
    "pattern",
    ["a|ab", "(ab)*", "a(b|c)*é?", "(é|a)+", "[^c]{1,3}", "", "aab?c|bca*", r"[^\s\S]", "a{8}", "(a|b)*a(a|b){2}"],
)
def test_agrees_with_all_canvases_listed(pattern: str) -> None:
    r = random.Random(pattern)
    generator = torch.Generator().manual_seed(1)
    for _ in range(8):
        banned = r.choice([(), (5,), (END,), (END, OTHER_END), (3, 9)])
        ids = [MASK if r.random() < 0.75 else r.choice([3, 4, 5, 8, END]) for _ in range(r.choice([1, 2, 3, 4]))]
        held, canvas, full = constraint(pattern, banned), torch.tensor(ids), completions(pattern, ids, banned)
        if not full:
            with pytest.raises(RequestError):
                held.check(canvas)
            continue
        held.check(canvas)
        rows = (canvas == MASK).nonzero().flatten()
        if not len(rows):
            continue
        allowed = held.allowed(canvas, rows)
        for row, i in zip(allowed, rows.tolist(), strict=True):
            assert set(row.nonzero().flatten().tolist()) == {one[i] for one in full}
        logits = torch.randn(len(rows), VOCABULARY, generator=generator, dtype=torch.float64)
        logits = logits.masked_fill(~allowed, -torch.inf)
        candidates = logits.argmax(-1)
        chosen = torch.tensor(r.sample(range(len(rows)), r.randint(1, len(rows))))
        places, wanted = rows[chosen].tolist(), candidates[chosen].tolist()
        if not any(all(one[i] == t for i, t in zip(places, wanted)) for one in full):
            best = max(full, key=lambda one: sum(float(row[one[i]]) for row, i in zip(logits, rows.tolist())))
            wanted = [best[i] for i in places]
        assert held.commit(canvas, rows, candidates, chosen, logits).tolist() == wanted


def test_what_was_seen_before_changes_no_answer() -> None:
    r, used = random.Random(0), constraint("(ab|c)*é?")
    for _ in range(40):
        ids = torch.tensor([MASK if r.random() < 0.6 else r.choice([3, 4, 5, 8, END]) for _ in range(5)])
        rows = (ids == MASK).nonzero().flatten()
        assert torch.equal(used.allowed(ids, rows), constraint("(ab|c)*é?").allowed(ids, rows))


def test_the_shortest_counts_tokens() -> None:
    assert constraint("aabab").shortest() == 2 and constraint("aabab", (5,)).shortest() == 3
    assert constraint("").shortest() == 0 and constraint("c", (8,)).shortest() is None
    with pytest.raises(RequestError, match="1 tokens cannot hold the shortest text .* which needs 2; set length to 2"):
        constraint("aabab").check(torch.tensor([MASK]))
    with pytest.raises(RequestError, match="cannot write any text"):
        constraint("c", (8,)).check(torch.tensor([MASK]))
    with pytest.raises(RequestError, match="fits what the canvas holds"):
        constraint("c", (END, OTHER_END)).check(torch.tensor([MASK, MASK]))  # nothing to pad with


def test_a_table_gives_the_same_automaton() -> None:
    import numpy as np

    classes = np.array([0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0])  # a, b
    moves = np.array([[-1, 1, -1], [-1, -1, 0], [-1, 2, 2]])  # (ab)*; the last state is out of reach
    table = TokenAutomaton.from_moves(classes, moves, np.array([True, False, True]))
    held = CanvasConstraint(table, vocab_size=VOCABULARY, mask_id=MASK, eos_ids=(END,))
    allowed = held.allowed(torch.tensor([MASK, MASK, 3, MASK]), torch.tensor([0, 1, 3]))
    assert len(table.final) == 2 and [row.nonzero().flatten().tolist() for row in allowed] == [[3], [4], [4]]


def test_the_order_of_the_chosen_is_kept() -> None:
    held, canvas = constraint("ac|cb"), torch.tensor([MASK, MASK, END])
    rows = torch.tensor([0, 1])
    logits = torch.zeros(2, VOCABULARY)
    logits[0, 3], logits[1, 4] = 2.0, 1.0  # a and b do not go together; ac is likelier than cb
    got = held.commit(canvas, rows, torch.tensor([3, 4]), torch.tensor([1, 0]), logits)
    assert got.tolist() == [8, 3]
    assert held.commit(canvas, rows, torch.tensor([3, 4]), torch.tensor([], dtype=torch.long), logits).tolist() == []
