from __future__ import annotations

import torch

from lavida.diffusion.masking import apply_mask, complementary, draw_masks, masking_probability, sample_times


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _answer(rows: int = 64, length: int = 24) -> torch.Tensor:
    answer = torch.rand(rows, length, generator=_generator(1)) < 0.4
    answer[:, 3] = True
    return answer


def test_complementary_masks_cover_each_answer_token_exactly_once() -> None:
    answer = _answer()
    masked = draw_masks(answer, sample_times(64, _generator()), _generator())
    one, other = complementary(masked, answer)
    assert torch.equal(one.int() + other.int(), answer.int())


def test_only_answer_tokens_are_masked_and_at_least_one() -> None:
    answer = _answer()
    masked = draw_masks(answer, torch.full((64,), 1e-9), _generator())
    assert not (masked & ~answer).any()
    assert (masked.sum(1) == 1).all()
    assert torch.equal(draw_masks(answer, torch.ones(64), _generator()), answer)


def test_a_row_without_answer_stays_clean() -> None:
    assert not draw_masks(torch.zeros(2, 5, dtype=torch.bool), torch.ones(2), _generator()).any()


def test_share_masked_follows_p() -> None:
    masked = draw_masks(torch.ones(400, 200, dtype=torch.bool), torch.full((400,), 0.3), _generator())
    assert abs(masked.float().mean().item() - 0.3) < 0.01


def test_times_lie_between_eps_and_one_and_repeat_with_the_seed() -> None:
    p = sample_times(10_000, _generator(), eps=0.2)
    assert p.min() >= 0.2
    assert p.max() <= 1
    assert torch.equal(p, sample_times(10_000, _generator(), eps=0.2))


def test_apply_mask_touches_nothing_else() -> None:
    ids, masked = torch.tensor([[1, 2, 3]]), torch.tensor([[False, True, False]])
    assert apply_mask(ids, masked, 9).tolist() == [[1, 9, 3]]


def test_odds_are_how_often_a_token_is_masked() -> None:
    for p, length in ((0.01, 4), (0.4, 3), (0.2, 1)):
        drawn = draw_masks(torch.ones(40_000, length, dtype=torch.bool), torch.full((40_000,), p), _generator())
        expected = masking_probability(torch.tensor([p]), length)
        torch.testing.assert_close(drawn.float().mean()[None], expected, atol=0.005, rtol=0)
