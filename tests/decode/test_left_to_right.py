"""The autoregressive baseline: what is written later changes nothing earlier, and all faces give the same answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import lavida
from lavida.api import Model
from lavida.checkpoint.io import save_checkpoint
from lavida.config import DenoiserConfig
from lavida.decode.driver import answer_steps
from lavida.decode.likelihood import choose, log_likelihood
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.errors import ConfigError, RequestError
from lavida.text.labels import save_labels
from tests.fakes import DENOISER, tiny_config, tiny_model
from tests.pictures import gradient
from tests.tiny import LABELS, tiny_net, tiny_tokenizer
from tests.tiny import tiny_config as mini_config

AR = {"autoregressive": True, "logit_shift": True}
PROMPT = torch.tensor([[5, 9, 13, 2]])


@pytest.fixture(scope="module")
def net():
    return tiny_model(tiny_config(None, **AR))


def written(net, **options) -> torch.Tensor:
    chosen = DecodeOptions(**{"length": 8, "block": 1, **options})
    with torch.inference_mode():
        steps = list(answer_steps(net, [net.denoiser.embed(PROMPT)], chosen))
    for at, step in enumerate(steps):
        assert at in step.committed and step.forwards == at + 1
        assert (step.canvas[: at + 1] != net.config.denoiser.mask_id).all()
    return steps[-1].canvas


def test_what_comes_later_is_not_seen(net):
    x = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[:, 4:] += 1
    for mask in (None, torch.ones(7, 7, dtype=torch.bool), torch.zeros(7, 7)):
        a, b = (net.denoiser(v, mask=mask) for v in (x, other))
        assert torch.equal(a[:, :4], b[:, :4]) and not torch.isclose(a[:, 4:], b[:, 4:]).all()


@pytest.mark.parametrize("cache", ["prefix", "none"])
def test_the_likeliest_token_each_time(net, cache):
    ids = PROMPT[0].tolist()
    for _ in range(8):
        logits = net.denoiser.head(net.denoiser(net.denoiser.embed(torch.tensor([ids]))))[0, -1]
        logits[net.config.denoiser.mask_id] = -torch.inf
        ids.append(int(logits.argmax()))
        if ids[-1] in net.config.denoiser.eos_ids:
            break
    expected = ids[PROMPT.shape[1] :]
    got = written(net, cache=cache).tolist()
    assert got[: len(expected)] == expected and set(got[len(expected) :]) <= set(expected[-1:])


def test_sampling_does_not_depend_on_the_cache(net):
    noisy = {"temperature": 1.0, "early_stop": False}
    drafts = [written(net, seed=seed, **noisy).tolist() for seed in range(3)]
    assert drafts == [written(net, seed=seed, cache="none", **noisy).tolist() for seed in range(3)]
    assert len({tuple(d) for d in drafts}) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": None}, "one token after the other; leave out steps"),
        ({"threshold": 0.9}, "one token after the other"),
        ({"factor": 0.9}, "leave out factor"),
        ({"revise": 0.9}, "leave out revise"),
        ({"cache": "dual"}, "without the cache 'dual'"),
        ({"guidance": 1.0}, "leave out guidance"),
        ({"length": 600}, "the model holds 512"),
    ],
)
def test_what_it_cannot_do(options, words):
    net = tiny_model(tiny_config(None, max_length=512, **AR))
    with pytest.raises(RequestError, match=words):
        written(net, **options)


def test_it_does_not_fill_drafts(net):
    draft = torch.tensor([net.config.denoiser.mask_id, 3])
    with pytest.raises(RequestError, match="behind a gap"):
        list(
            answer_steps(net, [net.denoiser.embed(PROMPT)], DecodeOptions(length=2, block=1), draft=draft),
        )


def test_its_likelihood_is_exact(net):
    answer = torch.tensor([7, 3, 3, 41])
    ids = torch.cat((PROMPT[0], answer))[None]
    logits = net.denoiser.head(net.denoiser(net.denoiser.embed(ids)))[0, PROMPT.shape[1] - 1 : -1]
    value = logits.log_softmax(-1).gather(-1, answer[:, None]).sum().item()
    segments = [net.denoiser.embed(PROMPT)]
    for cache in ("prefix", "none"):
        found = log_likelihood(Prompt.of(net, segments, cache), answer)
        assert found.value == pytest.approx(value, rel=1e-5) and (found.error, found.passes, found.tokens) == (0, 1, 4)
    assert choose(Prompt.of(net, segments), [answer, answer[:2]]).likelihoods[0].value == pytest.approx(value, rel=1e-5)


def test_a_folder_of_it_answers_as_any_other(tmp_path):
    tokenizer = tiny_tokenizer()
    config = mini_config(tokenizer)
    net = tiny_net(replace(config, denoiser=replace(config.denoiser, **AR)))
    save_checkpoint(net, tmp_path)
    tokenizer.save(tmp_path)
    save_labels(LABELS, tmp_path)
    model = lavida.load(tmp_path)
    answer = model.ask(gradient(), "What is this?", length=6, early_stop=False)
    assert (
        answer.steps == 6
        and answer.ids
        == Model(net, tokenizer, labels=LABELS)
        .ask(gradient(), "What is this?", length=6, early_stop=False, cache="none")
        .ids
    )
    assert model.describe(gradient()).text is not None
    with pytest.raises(RequestError, match="leave out steps"):
        model.ask(gradient(), "What is this?", steps=4)


def test_it_speaks_of_the_next_token():
    with pytest.raises(ConfigError, match="set denoiser.logit_shift"):
        DenoiserConfig(**DENOISER, autoregressive=True)
