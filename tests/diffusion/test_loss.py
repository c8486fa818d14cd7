from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lavida.diffusion.loss import masked_loss, shift_rows
from lavida.errors import ConfigError


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    masked = torch.rand(3, 7) < 0.5
    masked[:, 0] = True
    return torch.randn(3, 7, 11), torch.randint(0, 11, (3, 7)), masked


def test_mean_is_the_mean_over_masked_tokens(batch: tuple[torch.Tensor, ...]) -> None:
    logits, targets, masked = batch
    loss, ce = masked_loss(logits, targets, masked)
    assert torch.allclose(loss, F.cross_entropy(logits[masked], targets[masked]))
    assert (ce[~masked] == 0).all()
    assert torch.allclose(ce.sum() / masked.sum(), loss)


def test_rows_of_masked_positions_are_enough(batch: tuple[torch.Tensor, ...]) -> None:
    logits, targets, masked = batch
    assert torch.equal(masked_loss(logits[masked], targets, masked)[0], masked_loss(logits, targets, masked)[0])


def test_one_over_t_is_minus_log_p_for_one_certain_mask() -> None:
    logits = torch.randn(1, 1, 5)
    loss, _ = masked_loss(
        logits, torch.tensor([[2]]), torch.ones(1, 1).bool(), weighting="1/t", p=torch.ones(1), lengths=torch.ones(1)
    )
    assert torch.allclose(loss, -logits.log_softmax(-1)[0, 0, 2])


def test_one_over_t_is_unbiased_in_the_masking_rate() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(1, 9, 5).expand(4000, 9, 5), torch.randint(0, 5, (1, 9)).expand(4000, 9)
    full = F.cross_entropy(logits[0], targets[0])
    for p in (0.3, 0.8):
        masked = torch.rand(4000, 9) < p
        loss, _ = masked_loss(
            logits, targets, masked, weighting="1/t", p=torch.full((4000,), p), lengths=torch.full((4000,), 9)
        )
        assert abs(loss / full - 1) < 0.03


def test_weights_scale_tokens(batch: tuple[torch.Tensor, ...]) -> None:
    logits, targets, masked = batch
    weights = torch.zeros(3, 7)
    weights[:, 0] = 5.0
    loss, _ = masked_loss(logits, targets, masked, weights=weights)
    assert torch.allclose(loss, F.cross_entropy(logits[:, 0], targets[:, 0]))


def test_no_mask_gives_zero_and_no_nan(batch: tuple[torch.Tensor, ...]) -> None:
    logits, targets, masked = batch
    assert masked_loss(logits, targets, torch.zeros_like(masked))[0] == 0


def test_bad_weighting_is_named(batch: tuple[torch.Tensor, ...]) -> None:
    with pytest.raises(ConfigError, match="1/t"):
        masked_loss(*batch, weighting="sum")
    with pytest.raises(ConfigError, match="lengths"):
        masked_loss(*batch, weighting="1/t")


def test_shift_rows_repeats_the_first() -> None:
    logits = torch.arange(6.0).reshape(3, 2)
    assert shift_rows(logits).tolist() == [[0, 1], [0, 1], [2, 3]]
