from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lavida.decode.context import GuidedContext, staircase_mask
from lavida.decode.driver import answer_steps
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.decode.score import Query
from lavida.diffusion.loss import shift_rows
from lavida.errors import RequestError
from lavida.model.vlm import VLM
from lavida.nn.attention import segment_mask
from lavida.nn.ragged import Forward
from lavida.text.messages import IMAGE_ID
from tests.fakes import tiny_config, tiny_model
from tests.loops import answer_logits

CANVAS = torch.tensor([40, 7, 40, 40, 9, 40])
ALL = Query(ids=CANVAS, rows=torch.arange(6), block=slice(0, 6), refresh=True)


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
    answer = (torch.arange(x.shape[1]) >= length).long()[None]
    mask = segment_mask(1 + answer, answer[..., None])  # the answer sees the prefix, which sees itself only
    logits = model.denoiser.head(model.denoiser(x, mask=mask))[0]
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
    assert staircase_mask([1, 2]).int().tolist() == [[[[1, 0, 0], [1, 1, 1], [1, 1, 1]]]]


class _Says:
    """A context whose hidden state is a number."""

    def __init__(self, number: float) -> None:
        self._number = number
        self.head = lambda hidden, part=None: hidden * torch.arange(1, 3)[part or slice(None)]

    def forwards(self, query: Query) -> list[Forward]:
        return [Forward(x=torch.tensor([[self._number]]))]

    def hidden(self, query: Query, outputs: list[Tensor]) -> Tensor:
        return outputs[0]


def test_guidance_moves_away_from_the_blind_answer() -> None:
    context = GuidedContext(_Says(3.0), _Says(1.0), 0.5)
    hidden = context.hidden(ALL, [forward.x for forward in context.forwards(ALL)])
    assert context.head(hidden).tolist() == [[4.0, 8.0]] and context.head(hidden, slice(1, 2)).tolist() == [[8.0]]


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


def _look(ids: Tensor, block: slice, *, refresh: bool) -> Query:
    return Query(ids=ids, rows=torch.arange(block.start, block.stop), block=block, refresh=refresh)


@torch.no_grad()
@pytest.mark.parametrize("logit_shift", [False, True])
@pytest.mark.parametrize("cache", ["block", "dual"])
def test_a_block_cache_is_exact_until_something_changes(cache: str, logit_shift: bool) -> None:
    model = tiny_model(tiny_config(logit_shift=logit_shift))
    prompt, block = _prompt(model), slice(2, 5)
    exact, cached = answer_logits(model, prompt, "none"), answer_logits(model, prompt, cache)
    for refresh in (True, False, False):
        look = _look(CANVAS, block, refresh=refresh)
        assert torch.allclose(cached(look), exact(look), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("logit_shift", [False, True])
@pytest.mark.parametrize("cache", ["block", "dual"])
def test_a_block_cache_computes_its_window_anew(cache: str, logit_shift: bool) -> None:
    # In one layer keys depend on nothing but their own token, so what changes in the window is seen exactly.
    model = tiny_model(tiny_config(logit_shift=logit_shift, n_layers=1))
    prompt, block = _prompt(model), slice(2, 5)
    exact, cached = answer_logits(model, prompt, "none"), answer_logits(model, prompt, cache)
    cached(_look(CANVAS, block, refresh=True))
    changed = CANVAS.clone()
    changed[3] = 11
    look = _look(changed, block, refresh=False)
    assert torch.allclose(cached(look), exact(look), atol=1e-4)
    behind = changed.clone()
    behind[5] = 12  # outside the block: "block" computes it anew, "dual" keeps its old key until the next full pass
    look = _look(behind, block, refresh=False)
    assert torch.allclose(cached(look), exact(look), atol=1e-4) == (cache == "block")
    look = _look(behind, block, refresh=True)
    assert torch.allclose(cached(look), exact(look), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("cache", ["block", "dual"])
def test_block_caches_answer_in_as_many_passes(cache: str) -> None:
    model = tiny_model(tiny_config(None))
    prompt = model.segments(torch.tensor([1, 2, 3]), [])
    options = DecodeOptions(length=8, block=4, steps=4, cache=cache, early_stop=False)
    assert [s.forwards for s in answer_steps(model, prompt, options)] == [1, 2, 3, 4]
    with pytest.raises(RequestError, match="choose cache"):
        answer_logits(tiny_model(tiny_config(None, shared_image=True)), prompt, cache)


@torch.no_grad()
def test_canvases_in_a_batch_are_read_alike() -> None:
    model = tiny_model(tiny_config(logit_shift=True))
    prompt, twin = _prompt(model), torch.stack((CANVAS, CANVAS.flip(0)))
    for cache in ("prefix", "none"):
        hidden_of = Prompt.of(model, prompt, cache).hidden
        both = hidden_of(twin)
        for row, ids in zip(both, twin, strict=True):
            assert torch.allclose(row, hidden_of(ids[None])[0], atol=1e-5)


@torch.no_grad()
def test_the_prompt_decides_the_first_token_of_shifted_logits() -> None:
    model = tiny_model(tiny_config(None, logit_shift=True))
    prompt = model.segments(torch.tensor([1, 2, 3]), [])
    likeliest = int(model.denoiser.head(model.prefill(prompt).tail)[0].argmax())
    first, second, *_ = answer_steps(model, prompt, DecodeOptions(length=6, early_stop=False))
    assert first.canvas[0] == likeliest and first.committed.tolist() == [0]
    assert (first.index, first.forwards) == (0, 0) and (second.index, second.forwards) == (1, 1)
    counted = list(answer_steps(model, prompt, DecodeOptions(length=6, counts=(2, 4), early_stop=False)))
    assert [len(step.committed) for step in counted] == [1, 1, 4]
    revised = list(answer_steps(model, prompt, DecodeOptions(length=6, steps=1, revise=1.0, early_stop=False)))
    weak = revised[1].confidence.argsort(stable=True)[:3]
    assert [len(step.committed) for step in revised] == [1, 5, 3]
    assert sorted(revised[2].committed.tolist()) == sorted(weak.tolist())
    banned, *_ = answer_steps(model, prompt, DecodeOptions(length=6, early_stop=False, banned=(likeliest,)))
    assert banned.canvas[0] != likeliest
    given, *_ = answer_steps(model, prompt, DecodeOptions(length=3), draft=torch.tensor([5, 40, 40]))
    assert given.canvas[0] == 5
    assert len(list(answer_steps(model, prompt, DecodeOptions(length=1)))) == 1


@torch.no_grad()
def test_guidance_leans_away_from_a_prompt_of_masks() -> None:
    model = tiny_model(tiny_config(None))
    prompt = model.segments(torch.tensor([1, 2, 3]), [])
    nothing = model.segments(torch.tensor([40, 40, 40]), [])
    seen, blind = (answer_logits(model, p, "none")(ALL) for p in (prompt, nothing))
    options = DecodeOptions(length=6, steps=1, cache="none", guidance=1.5, early_stop=False)
    (step,) = answer_steps(model, prompt, options, draft=CANVAS)
    wanted = blind + 2.5 * (seen - blind)
    wanted[:, 40] = -torch.inf
    assert step.canvas.tolist() == torch.where(CANVAS == 40, wanted.argmax(-1), CANVAS).tolist()
