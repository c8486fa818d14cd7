"""Certainty, moments of decoding and their masks, by hand; the objective that joins them."""

from __future__ import annotations

import math

import pytest
import torch

from lavida.diffusion.loss import certainty_loss
from lavida.diffusion.masking import NEVER, draw_moments, trajectory_masks
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError

LN = math.log


def entropy(*shares: float) -> float:
    return -sum(q * LN(q) for q in shares)


def test_certainty_is_the_entropy_of_right_tokens_over_all_masked_ones() -> None:
    # p = (3/4, 1/4), right; (1/4, 3/4), wrong; (1/10, 9/10), right.
    logits = torch.tensor([[LN(3.0), 0.0], [0.0, LN(3.0)], [0.0, LN(9.0)]])
    loss = certainty_loss(logits, torch.tensor([0, 0, 1]), temperature=1.0)
    assert float(loss) == pytest.approx((entropy(3 / 4, 1 / 4) + entropy(1 / 10, 9 / 10)) / 3, abs=1e-6)


def test_a_temperature_of_a_half_squares_the_odds() -> None:
    loss = certainty_loss(torch.tensor([[LN(3.0), 0.0]]), torch.tensor([0]), temperature=0.5)
    assert float(loss) == pytest.approx(entropy(9 / 10, 1 / 10), abs=1e-6)


def test_wrong_and_certain_tokens_cost_nothing_and_no_token_is_no_nan() -> None:
    logits = torch.tensor([[0.0, 1.0], [900.0, -900.0]], requires_grad=True)
    loss = certainty_loss(logits, torch.tensor([0, 0]), temperature=0.5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0 and gradient.abs().sum() == 0
    assert float(certainty_loss(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long), temperature=0.5)) == 0


def test_its_gradient_raises_the_likeliest_token_and_leaves_the_wrong_row_alone() -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(certainty_loss(logits, torch.tensor([0, 2]), temperature=0.5), logits)
    assert gradient[0, 0] < 0 < gradient[0, 1] and gradient[1].abs().sum() == 0


# A canvas of six in blocks of two behind two ids of a prompt; its last place lies behind a stop.
STEPS = torch.tensor([[-1, -1, 1, 0, 3, 2, 4, NEVER]])
BLOCKS = torch.tensor([[0, 0, 0, 0, 1, 1, 2, 2]])


@pytest.mark.parametrize(
    ("moment", "masked", "asked"),
    [
        (0, "..######", "..##...."),
        (1, "..#.####", "..#....."),
        (2, "....####", "....##.."),
        (3, "....#.##", "....#..."),
        (4, "......##", "......#."),
    ],
)
def test_masks_are_what_was_open_and_the_first_open_block_is_asked_for(moment: int, masked: str, asked: str) -> None:
    got = trajectory_masks(STEPS, BLOCKS, torch.tensor([[moment]]))
    assert ["".join(".#"[int(on)] for on in row[0, 0]) for row in got] == [masked, asked]


def test_without_blocks_all_that_is_open_is_asked_for() -> None:
    steps = torch.tensor([[-1, 2, 0, 1], [-1, -1, 0, 1]])
    masked, asked = trajectory_masks(steps, torch.zeros_like(steps), torch.tensor([[1, 0], [2, 1]]))
    assert masked.equal(asked)
    assert masked.tolist() == [
        [[False, True, False, True], [False, False, True, True]],
        [[False, True, False, False], [False, False, False, True]],
    ]


def test_moments_lie_within_the_trajectory_and_a_share_is_before_its_first_step() -> None:
    steps = STEPS.expand(4000, -1)
    even = draw_moments(steps, 0.0, torch.Generator().manual_seed(0))
    assert even.shape == (2, 4000) and even.min() == 0 and even.max() == 4
    assert torch.bincount(even.flatten()).tolist() == pytest.approx([1600] * 5, abs=120)
    half = draw_moments(steps, 0.5, torch.Generator().manual_seed(0))
    assert float((half == 0).float().mean()) == pytest.approx(0.5 + 0.5 / 5, abs=0.02)
    assert (draw_moments(steps, 1.0, torch.Generator().manual_seed(0)) == 0).all()
    assert draw_moments(torch.full((1, 3), -1), 0.0, torch.Generator()).tolist() == [[0], [0]]  # no canvas


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"masking": "late"}, "unknown masking 'late'"),
        ({"masking": "trajectory"}, "complementary masks follow no trajectory"),
        ({"masking": "trajectory", "complementary": False, "weighting": "1/t"}, 'weighting "mean" only'),
        ({"certainty": 1.0, "attention": "causal", "autoregressive": True}, "masked diffusion"),
        ({"certainty": -1.0}, "at least 0"),
        ({"certainty": math.nan}, "at least 0"),
        ({"certainty_temperature": 0.0}, "above 0 and at most 1"),
        ({"certainty_temperature": 2.0}, "above 0 and at most 1"),
        ({"blank": 1.5}, "a share, 0 to 1"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(fields: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Objective(**fields)


def test_runs_of_older_versions_have_the_same_objective() -> None:
    assert Objective().to_dict() == {
        "complementary": True, "weighting": "mean", "attention": "full", "autoregressive": False, "eps": 1e-3
    }  # fmt: skip
    few = Objective(complementary=False, masking="trajectory", certainty=2.0)
    assert Objective(**few.to_dict()) == few and few.to_dict().keys() >= {"masking", "blank", "certainty"}
    assert few.to_dict() != Objective(complementary=False, masking="trajectory").to_dict()
