from __future__ import annotations

import pytest
import torch

from lavida.diffusion.schedule import CURVES, SCHEDULES, masked_share, timestep_counts, unmask_counts
from lavida.errors import RequestError


@pytest.mark.parametrize(
    ("masks", "steps", "shift", "counts"),
    [
        (32, 8, 1 / 3, [10, 6, 5, 3, 3, 2, 2, 1]),
        (32, 16, 1 / 3, [6, 4, 4, 2, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (32, 16, 3, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4, 5]),
    ],
)
def test_shift_direction(masks: int, steps: int, shift: float, counts: list[int]) -> None:
    assert unmask_counts(masks, steps, "shift", shift) == counts


def test_even_puts_the_remainder_first() -> None:
    assert unmask_counts(10, 4, "even") == [3, 3, 2, 2]
    assert unmask_counts(2, 4, "even") == [1, 1, 0, 0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_counts_sum_to_the_masks_and_no_step_is_idle(schedule: str) -> None:
    for masks in (1, 2, 7, 31, 64):
        for steps in (1, 2, 5, 31, 64):
            got = unmask_counts(masks, steps, schedule)
            assert sum(got) == masks
            if schedule in CURVES:
                assert len(got) == min(steps, masks)
                assert min(got) >= 1


@pytest.mark.parametrize("schedule", CURVES)
def test_share_runs_from_none_to_all(schedule: str) -> None:
    share = masked_share(torch.linspace(0, 1, 33), schedule)
    assert share[0] == 0
    assert share[-1].item() == pytest.approx(1)
    assert (share.diff() >= 0).all()


def test_unknown_schedule_is_named() -> None:
    with pytest.raises(RequestError, match="'linaer'.*cosine"):
        unmask_counts(4, 2, "linaer")
    with pytest.raises(RequestError, match="at least 1"):
        unmask_counts(4, 0, "even")
    with pytest.raises(RequestError, match="no curve"):
        masked_share(torch.zeros(1), "even")


def test_timesteps_round_down_and_leave_the_rest_to_the_last_step() -> None:
    assert unmask_counts(16, 5, "timesteps") == [3, 3, 3, 3, 4]
    assert unmask_counts(4, 6, "timesteps") == [0, 0, 0, 1, 1, 2]  # 4/6, 4/5, 4/4 - eps; then 1 - s/t of what is left
    assert timestep_counts(8, 2, grid=8) == [0, 8]  # a run cut short jumps at its end
    assert timestep_counts(8, 2, last_time=0.5) == [2, 6]
    assert timestep_counts(5, 1) == [5]


def test_ancestral_steps_are_independent_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    runs = torch.tensor([unmask_counts(8, 4, "ancestral", generator=generator) for _ in range(4000)]).double()
    assert (runs.sum(1) == 8).all()
    # A mask falls at any of the four steps alike, so each count is binomial: mean 2, variance 8 * 1/4 * 3/4.
    assert runs.mean(0).tolist() == pytest.approx([2.0] * 4, abs=0.1)
    assert runs.var(0).tolist() == pytest.approx([1.5] * 4, abs=0.15)
