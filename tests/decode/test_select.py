from __future__ import annotations

import pytest
import torch

from lavida.decode.select import adaptive_count, confidence, forbid, narrow, propose, select_positions
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


def test_surest_takes_no_more_than_there_is() -> None:
    scores = torch.tensor([0.1, 0.9, 0.5])
    assert select_positions(scores, 2).tolist() == [1, 2]
    assert select_positions(scores, 4).tolist() == [1, 2, 0]
    assert select_positions(scores[:0], 1).tolist() == []


def test_a_threshold_adds_all_that_reach_it() -> None:
    scores = torch.tensor([0.1, 0.9, 0.5])
    assert adaptive_count(scores, 1) == 1
    assert adaptive_count(scores, 1, threshold=0.5) == 2
    assert adaptive_count(scores, 1, threshold=0.95) == 1
    assert adaptive_count(scores, 3, threshold=0.95) == 3
    assert adaptive_count(scores[:0], 1, threshold=0.5) == 1


@pytest.mark.parametrize(("factor", "count"), [(0.01, 1), (0.21, 1), (0.31, 2), (0.61, 3), (2.1, 4)])
def test_the_factor_asks_more_of_each_further_token(factor: float, count: int) -> None:
    # (n + 1) (1 - p): 0.2, 0.3, 0.6 and 2.0 for the first, second, third and fourth
    assert adaptive_count(torch.tensor([0.85, 0.9, 0.6, 0.9]), 1, factor=factor) == count


def test_a_sure_token_behind_an_unsure_one_does_not_count() -> None:
    assert adaptive_count(torch.tensor([0.5, 0.99, 0.5]), 1, factor=0.5) == 1
    assert adaptive_count(torch.tensor([-0.1, -2.0, -0.3]), 1, entropy_bound=0.2) == 2


def test_the_entropy_bound_leaves_out_the_largest_entropy() -> None:
    scores = torch.tensor([-0.5, -0.1, -0.2, -3.0])  # ordered: 0.1, 0.2, 0.5, 3; sums without the last: 0, .1, .3, .8
    counts = [adaptive_count(scores, 1, entropy_bound=bound) for bound in (0.05, 0.15, 0.35, 0.85)]
    assert counts == [1, 2, 3, 4]


def test_selection_temperature_draws_by_the_softmax_of_the_scores() -> None:
    scores, generator = torch.tensor([0.0, 0.5, 1.0]), _generator()
    first = torch.stack([select_positions(scores, 2, temperature=0.5, generator=generator) for _ in range(20_000)])
    assert (first[:, 0] != first[:, 1]).all()
    shares = first[:, 0].bincount(minlength=3) / len(first)
    assert torch.allclose(shares, (scores / 0.5).softmax(0), atol=0.01)


def test_forbidden_ids_have_no_probability() -> None:
    logits = torch.tensor([[0.0, 5.0, 9.0]])
    assert forbid(logits, (2,)).softmax(-1)[0, 2] == 0
    assert forbid(logits, ()).tolist() == logits.tolist()
    assert logits[0, 2] == 9
    with pytest.raises(RequestError, match="banned id 3 lies outside the vocabulary of 3"):
        forbid(logits, (1, 3))


def test_narrow_keeps_the_likeliest_tokens() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]]).double().log()

    def kept(**how: float) -> list[list[int]]:
        arguments = {"temperature": 0.0, "top_p": None, "top_k": None, **how}
        return [row.nonzero().flatten().tolist() for row in narrow(logits, **arguments).isfinite()]

    assert kept() == [[0, 1, 2, 3]] * 2
    assert kept(top_p=0.79) == [[0, 1], [2, 3]]
    assert kept(top_p=0.81) == [[0, 1, 2], [1, 2, 3]]
    assert kept(top_p=0.01) == [[0], [3]]  # the likeliest always stays
    assert kept(top_p=0.79, temperature=0.5) == [[0, 1], [2, 3]]
    assert kept(top_p=0.6, temperature=0.5) == [[0], [3]]  # squared and normalised, the first alone has .68
    assert kept(top_k=3) == [[0, 1, 2], [1, 2, 3]]
    assert kept(top_k=9) == [[0, 1, 2, 3]] * 2


def test_narrowing_leaves_something_to_write_beside_the_mask() -> None:
    logits = torch.tensor([[0.0, 2.0, 5.0, 1.0], [0.0, 5.0, 2.0, 1.0]])  # the mask, 2, is the likeliest of the first
    for options in ((0.0, None, 1), (0.0, 0.5, None), (1.0, 0.5, 1)):
        likely = narrow(logits, *options, mask_id=2)
        assert propose(likely, 2, options[0], torch.Generator().manual_seed(0)).tolist() == [1, 1]
        assert likely[1].isfinite().tolist() == [False, True, False, False]
