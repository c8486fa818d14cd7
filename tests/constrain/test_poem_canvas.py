"""Whatever a model would rather write, on however few steps: a canvas held to a template ends in its language."""

import pytest
import torch

from lavida.checkpoint.named import MODELS
from lavida.constrain.canvas import CanvasConstraint
from lavida.constrain.template import Choice, Hole, Template, poem
from lavida.errors import RequestError
from lavida.text.syllables import count_syllables
from lavida.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def mini():
    return Tokenizer.load(MODELS["lavida-mini"])


def held(template, mini):
    return CanvasConstraint(template.automaton(mini), vocab_size=mini.size, mask_id=mini.mask_id, eos_ids=[mini.eos_id])


def write(template, mini, length, per_step, seed):
    """The lines of a canvas written by random logits, so many tokens a step, surest first."""
    constraint, generator = held(template, mini), torch.Generator().manual_seed(seed)
    ids = torch.full((length,), mini.mask_id)
    constraint.check(ids)
    while (rows := (ids == mini.mask_id).nonzero().flatten()).numel():
        logits = 4 * torch.randn(len(rows), mini.size, generator=generator)
        sure, candidates = logits.masked_fill(~constraint.allowed(ids, rows), -torch.inf).max(1)
        chosen = sure.topk(min(per_step, len(rows))).indices
        ids[rows[chosen]] = constraint.commit(ids, rows, candidates, chosen, logits)
    template.verify(mini.decode(ids))
    return [line.strip() for line in mini.decode(ids).split("\n")]


@pytest.mark.parametrize("per_step", [1, 4, 99])
@pytest.mark.parametrize("seed", range(3))
def test_lines_begin_and_count_as_told(mini, per_step, seed):
    starts = ("A", "Be", "Ca")
    lines = write(poem(starts, syllables=(5, 7, 5)), mini, 40, per_step, seed)
    assert [count_syllables(line) for line in lines] == [5, 7, 5], lines
    assert all(line.startswith(start) for line, start in zip(lines, starts)), lines


@pytest.mark.parametrize("per_step", [1, 99])
def test_lines_of_any_tokens_begin_as_told(mini, per_step):
    starts = ("Un", "Wi", "The", "So")
    lines = write(poem(starts, tokens=(3, 6)), mini, 32, per_step, seed=0)
    assert len(lines) == 4 and all(line.startswith(start) for line, start in zip(lines, starts)), lines


@pytest.mark.parametrize("seed", range(3))
def test_holes_and_choices_are_filled(mini, seed):
    parts = (
        "There is",
        Hole(least=2, most=4),
        "on",
        Choice(options=("grass", "the sand")),
        ".\n",
        Hole(measure="words"),
    )
    (first, second) = write(Template(parts=parts), mini, 32, 3, seed)
    assert first.startswith("There is ") and first.endswith((" on grass.", " on the sand."))
    assert 1 <= len(second.split()) <= 8


def test_a_canvas_that_is_too_short_is_refused_with_the_shortest(mini):
    constraint = held(poem(("A", "Be"), words=(3, 7)), mini)
    with pytest.raises(RequestError, match="6 tokens cannot hold the shortest text .* which needs 7"):
        constraint.check(torch.full((6,), mini.mask_id))
    constraint.check(torch.full((7,), mini.mask_id))
