from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lavida.decode.answer import answer_logits, guided, staircase
from lavida.decode.loop import Look
from lavida.diffusion.loss import shift_rows
from lavida.errors import RequestError
from lavida.model.vlm import IMAGE_ID, VLM
from lavida.nn.attention import prefix_mask
from tests.fakes import tiny_config, tiny_model

CANVAS = torch.tensor([40, 7, 40, 40, 9, 40])
ALL = Look(ids=CANVAS, rows=torch.arange(6), block=slice(0, 6), fresh=True)


def _prompt(model: VLM) -> list[Tensor]:
    image = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    return model.segments(torch.tensor([1, IMAGE_ID, 2, 3]), [image])


@torch.no_grad()
@pytest.mark.parametrize("logit_shift", [False, True])
@pytest.mark.parametrize("heads", [2, 4])
def test_cached_equals_uncached_under_the_prefix_mask(logit_shift: bool, heads: int) -> None:
    model = tiny_model(tiny_config(logit_shift=logit_shift, qkv_bias=logit_shift, n_kv_heads=heads))
    prompt = _prompt(model)
    length = prompt[0].shape[1]
    x = torch.cat((*prompt, model.denoiser.embed(CANVAS[None])), 1)
    logits = model.denoiser.head(model.denoiser(x, mask=prefix_mask(torch.tensor([length]), x.shape[1])))[0]
    expected = (shift_rows(logits) if logit_shift else logits)[length:]
    got = answer_logits(model, prompt, "prefix")
    assert torch.allclose(got(ALL), expected, atol=1e-4)
    assert torch.allclose(got(ALL), expected, atol=1e-4)  # the cache is read, never written
    uncached = answer_logits(model, prompt, "none")(ALL)
    assert not torch.allclose(uncached, expected, atol=1e-2)  # there the prompt sees the canvas


@torch.no_grad()
def test_a_shared_picture_decodes_alike_with_and_without_cache() -> None:
    model = tiny_model(tiny_config(shared_image=True))
    prompt = _prompt(model)
    cached, uncached = (answer_logits(model, prompt, cache)(ALL) for cache in ("prefix", "none"))
    assert torch.allclose(cached, uncached, atol=1e-4)
    held = model.prefill(prompt)
    assert torch.allclose(answer_logits(model, [], held)(ALL), cached, atol=1e-5)


def test_staircase() -> None:
    assert staircase([1, 2]).int().tolist() == [[[[1, 0, 0], [1, 1, 1], [1, 1, 1]]]]


def test_guidance_moves_away_from_the_blind_answer() -> None:
    seen, blind = (lambda look: torch.full((1, 2), 3.0)), (lambda look: torch.full((1, 2), 1.0))
    assert guided(seen, blind, 0.5)(ALL).tolist() == [[4.0, 4.0]]
    assert guided(seen, blind, 0) is seen


def test_shifted_logits_need_a_prompt() -> None:
    model = tiny_model(tiny_config(None, logit_shift=True))
    with pytest.raises(RequestError, match="at least one token"):
        answer_logits(model, [])


@torch.no_grad()
@pytest.mark.parametrize("cache", ["prefix", "none"])
def test_too_long_a_prompt_is_refused(cache: str) -> None:
    model = tiny_model(tiny_config(None, max_length=8))
    logits_of = answer_logits(model, model.segments(torch.arange(4), []), cache)
    with pytest.raises(RequestError, match="10 tokens and the model holds 8"):
        logits_of(ALL)
