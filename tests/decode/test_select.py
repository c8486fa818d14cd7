from __future__ import annotations

import pytest
import torch

from lavida.decode.select import confidence, propose, surest
from lavida.errors import RequestError


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_no_temperature_is_argmax_without_the_mask() -> None:
    logits = torch.tensor([[0.0, 5.0, 9.0], [3.0, 2.0, 1.0]])
    assert propose(logits, 2, 0.0, _generator()).tolist() == [1, 0]
    assert logits[0, 2] == 9  # the caller's logits are left alone


def test_gumbel_noise_samples_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 0.0]).repeat(20_000, 1)
    got = propose(logits, 3, 1.0, _generator()).bincount(minlength=4) / 20_000
    assert got[3] == 0
    assert torch.allclose(got[:3].float(), torch.tensor([0.0, 1.0, 2.0]).softmax(-1), atol=0.01)


def test_measures() -> None:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]], dtype=torch.float64)
    chosen = torch.tensor([1, 0])
    assert confidence(p.log(), chosen, "confidence", _generator()).tolist() == pytest.approx([0.2, 0.5])
    assert confidence(p.log(), chosen, "margin", _generator()).tolist() == pytest.approx([0.5, 0.25])
    entropy = (p * p.log()).sum(-1).tolist()
    assert confidence(p.log(), chosen, "entropy", _generator()).tolist() == pytest.approx(entropy, abs=1e-6)
    random = confidence(p.log(), chosen, "random", _generator())
    assert torch.equal(random, confidence(p.log(), chosen, "random", _generator()))
    with pytest.raises(RequestError, match="'luck'"):
        confidence(p.log(), chosen, "luck", _generator())


def test_surest_never_takes_a_closed_position() -> None:
    scores = torch.tensor([0.1, -torch.inf, 0.9, 0.5])
    assert surest(scores, 2).tolist() == [2, 3]
    assert sorted(surest(scores, 4).tolist()) == [0, 2, 3]
