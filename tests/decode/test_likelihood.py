from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from lavida.decode.likelihood import (
    ESTIMATORS,
    _pairs,
    _single,
    choose,
    common_log_likelihoods,
    log_likelihood,
    random_sets,
    stratified_sizes,
)
from lavida.decode.prompt import Prompt
from lavida.decode.score import Query
from lavida.errors import RequestError
from lavida.model.vlm import VLM
from tests.fakes import tiny_config, tiny_model
from tests.loops import answer_logits

ANSWER = torch.tensor([5, 17, 5, 30, 2])
MASK = 40


def _prompt(model: VLM) -> list[Tensor]:
    return model.segments(torch.tensor([1, 2, 3]), [])


@torch.no_grad()
def _bound(model: VLM, answer: Tensor, cache: str) -> float:
    """The bound from its definition, one set at a time, through the logits that decoding uses."""
    n, logits_of = len(answer), answer_logits(model, _prompt(model), cache)
    total = 0.0
    for size in range(1, n + 1):
        sets = list(itertools.combinations(range(n), size))
        for chosen in sets:
            ids, rows = answer.clone(), torch.tensor(chosen)
            ids[rows] = MASK
            logits = logits_of(Query(ids=ids, rows=rows, block=slice(0, n), refresh=True)).double()
            loss = -logits.log_softmax(-1).gather(1, answer[rows, None]).sum().item()
            total += n / size * loss / len(sets) / n
    return -total


@pytest.mark.parametrize("logit_shift", [False, True])
@pytest.mark.parametrize("cache", ["prefix", "none"])
def test_few_masks_are_enumerated(cache: str, logit_shift: bool) -> None:
    model = tiny_model(tiny_config(None, logit_shift=logit_shift))
    got = log_likelihood(Prompt.of(model, _prompt(model), cache), ANSWER)
    assert got.value == pytest.approx(_bound(model, ANSWER, cache), rel=1e-5)
    assert (got.error, got.tokens, got.passes) == (0.0, 5, 31)


def test_one_token_has_its_own_probability() -> None:
    model = tiny_model(tiny_config(None))
    total = sum(math.exp(log_likelihood(Prompt.of(model, _prompt(model)), torch.tensor([i])).value) for i in range(48))
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("n", [3, 9])
def test_answers_compared_under_the_same_masks_have_the_estimates_of_each_alone(n: int) -> None:
    model = tiny_model(tiny_config(None))
    answers = torch.randint(40, (5, n), generator=torch.Generator().manual_seed(0))
    settings = {"rounds": 2, "batch": 4, "seed": 3}
    together = common_log_likelihoods(Prompt.of(model, _prompt(model)), answers, **settings)
    alone = [log_likelihood(Prompt.of(model, _prompt(model)), answer, **settings).value for answer in answers]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_estimate_of_many_rounds_nears_the_bound(estimator: str) -> None:
    answer = torch.arange(8) + 3
    model = tiny_model(tiny_config(None))
    got = log_likelihood(
        Prompt.of(model, _prompt(model)), answer, estimator=estimator, rounds=120, batch=2
    )  # of 255 sets
    assert got.error > 0
    assert abs(got.value - _bound(model, answer, "prefix")) < 4 * got.error


@pytest.mark.parametrize(("context", "at_most"), [(0.0, 0.8), (0.8, 0.4), (1.0, 1e-6)])
def test_pairs_vary_less_than_single_sets(context: float, at_most: float) -> None:
    # Tokens of unequal difficulty, the easier the more of the answer is shown; the bound follows by hand.
    n = 9
    hard = 5 * torch.rand(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def losses(masks: Tensor) -> Tensor:
        return masks * hard * (1 - context + context * masks.sum(1, keepdim=True) / n)

    bound = float(hard.sum() * (1 - context + context * (n + 1) / 2 / n))
    single, pairs = (f(losses, n, 1000, 8, torch.Generator().manual_seed(2)) for f in (_single, _pairs))
    assert pairs.std() < at_most * single.std()
    for values in (single, pairs):
        assert abs(values.mean() - bound) < 4 * values.std() / 1000**0.5 + 1e-5


def test_the_same_seed_gives_the_same_estimate() -> None:
    model = tiny_model(tiny_config(None))
    first, again, other = (
        log_likelihood(Prompt.of(model, _prompt(model)), torch.arange(9), rounds=2, batch=4, seed=s) for s in (1, 1, 2)
    )
    assert first == again != other


def test_sizes_are_uniform_and_sets_as_large_as_asked() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.cat([stratified_sizes(8, 16, generator) for _ in range(2000)])
    shares = draws.bincount(minlength=9)[1:] / len(draws)
    assert shares.tolist() == pytest.approx([1 / 8] * 8, abs=0.01)
    assert sorted(stratified_sizes(4, 4, generator).tolist()) == [1, 2, 3, 4]
    sizes = torch.tensor([1, 3, 5])
    assert random_sets(5, sizes, generator).sum(1).tolist() == [1, 3, 5]


def test_the_likeliest_answer_is_chosen() -> None:
    model = tiny_model(tiny_config(None))
    answers = [torch.tensor([4, 9]), torch.tensor([30]), torch.tensor([7, 8, 9])]
    choice = choose(Prompt.of(model, _prompt(model)), answers)
    values = [log_likelihood(Prompt.of(model, _prompt(model)), a).value for a in answers]
    assert [one.value for one in choice.likelihoods] == pytest.approx(values)
    assert choice.best == max(range(3), key=lambda i: values[i])
    total = sum(map(math.exp, values))
    assert choice.probabilities == pytest.approx([math.exp(v) / total for v in values]) and choice.errors == (0, 0, 0)
    by_token = choose(Prompt.of(model, _prompt(model)), answers, by_token=True)
    assert by_token.best == max(range(3), key=lambda i: values[i] / len(answers[i]))


def test_the_error_of_a_probability_is_its_spread_over_seeds() -> None:
    model = tiny_model(tiny_config(None))
    for p in model.denoiser.parameters():
        p.data.mul_(0.3)  # milder, so that no answer is all but certain
    answers = [torch.arange(8) + 3, torch.arange(9) + 20]
    runs = [choose(Prompt.of(model, _prompt(model)), answers, rounds=8, batch=4, seed=s) for s in range(24)]
    spread = torch.tensor([run.probabilities[0] for run in runs]).std().item()
    told = torch.tensor([run.errors for run in runs]).mean(0)
    assert told[0] == pytest.approx(told[1]) and spread / 2 < told[0] < 2 * spread


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "triples"}, "unknown estimator 'triples'"),
        ({"rounds": 1}, "rounds must be at least 2"),
        ({"batch": 3}, "batch even"),
        ({"answer": torch.tensor([], dtype=torch.long)}, "holds no token"),
    ],
)
def test_bad_requests_are_refused(options: dict[str, object], message: str) -> None:
    model = tiny_model(tiny_config(None))
    with pytest.raises(RequestError, match=message):
        log_likelihood(Prompt.of(model, _prompt(model)), **{"answer": ANSWER, **options})
    with pytest.raises(RequestError, match="no answer to choose from"):
        choose(Prompt.of(model, _prompt(model)), [])
