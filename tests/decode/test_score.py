"""Scores without all logits against the reference, which makes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lavida.constrain.base import Constraint
from lavida.decode import score as scoring
from lavida.decode.driver import answer_steps
from lavida.decode.loop import Canvas
from lavida.decode.options import BLOCK_CACHES, REMASKING, DecodeOptions
from lavida.decode.score import Query, Scores, fused_scores, score, score_logits
from lavida.errors import RequestError
from tests.fakes import tiny_config, tiny_model
from tests.loops import answer_logits, denoise

MASK, VOCAB, WIDTH = 40, 300, 16


def _case(rows: int, *, sharpness: float, mask_weight: float = 1.0, dtype: torch.dtype = torch.float32) -> Any:
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, WIDTH, generator=generator).to(dtype)
    weight = (torch.randn(VOCAB, WIDTH, generator=generator) * sharpness).to(dtype)
    weight[MASK] *= mask_weight

    def head(x: Tensor, part: slice | None = None) -> Tensor:
        return x @ weight[part or slice(None)].T

    return (
        Query(ids=torch.full((rows,), MASK), rows=torch.arange(rows), block=slice(0, rows), refresh=True),
        hidden,
        head,
    )


class _Even:
    """Even ids only; of two at once the second is 8."""

    def check(self, ids: Tensor) -> None:
        pass

    def allowed(self, ids: Tensor, rows: Tensor) -> Tensor:
        return (torch.arange(VOCAB) % 2 == 0).expand(len(rows), -1)

    def commit(self, ids: Tensor, rows: Tensor, candidates: Tensor, chosen: Tensor, logits: Tensor) -> Tensor:
        return torch.cat((candidates[chosen[:1]], torch.full_like(chosen[1:], 8)))


def _both(case: Any, constraint: Constraint | None = None, **options: Any) -> tuple[Scores, Scores]:
    look, hidden, head = case
    chosen = DecodeOptions(**{"length": max(1, len(look.rows)), **options})
    lean, plain = (torch.Generator().manual_seed(7) for _ in range(2))
    got = score(look, hidden, head, VOCAB, chosen, mask_id=MASK, generator=lean, constraint=constraint)
    wanted = score_logits(look, head(hidden), chosen, mask_id=MASK, generator=plain, constraint=constraint)
    assert torch.equal(lean.get_state(), plain.get_state())  # what is drawn next is the same
    return got, wanted


@pytest.fixture(params=[(1, 1), (300, 100), (700, 100), (1 << 22, 1 << 14)])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Logits of a chunk, and the part of the vocabulary that it covers: of 7 rows one, three or all come together."""
    for name, value in zip(("_CHUNK", "PIECE"), request.param):
        monkeypatch.setattr(scoring, name, value)
    return request.param


@pytest.mark.parametrize("measure", REMASKING)
@pytest.mark.parametrize("sharpness", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("mask_weight", [0.0, 5.0])
def test_the_likeliest_tokens_are_scored_alike(
    measure: str, sharpness: float, mask_weight: float, chunk: object
) -> None:
    case = _case(7, sharpness=sharpness, mask_weight=mask_weight)
    got, wanted = _both(case, remasking=measure, banned=(0, 3, 299))
    assert torch.equal(got.candidates, wanted.candidates)
    assert torch.allclose(got.confidence, wanted.confidence.double(), rtol=1e-4, atol=1e-5)
    assert not torch.isin(got.candidates, torch.tensor([MASK, 0, 3, 299])).any()


@pytest.mark.parametrize("measure", ["confidence", "margin"])
def test_certainty_is_told_apart_where_float32_is_one(measure: str) -> None:
    logits = torch.zeros(3, VOCAB)
    logits[:, 5] = torch.tensor([24.0, 26.0, 25.0])  # 1 - p = 1e-8 and less
    look = Query(ids=torch.full((3,), MASK), rows=torch.arange(3), block=slice(0, 3), refresh=True)
    got = fused_scores(torch.eye(3), lambda x, part: x @ logits[:, part], VOCAB, measure=measure, mask_id=MASK)
    generator = torch.Generator()
    wanted = score_logits(look, logits, DecodeOptions(remasking=measure), mask_id=MASK, generator=generator).confidence
    assert (wanted.float() == 1).all()
    assert got.confidence.argsort().tolist() == wanted.argsort().tolist() == [0, 2, 1]
    assert torch.allclose(1 - got.confidence, 1 - wanted, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.9},
        {"temperature": 0.9, "remasking": "random"},
        {"temperature": 0.5, "top_p": 0.8, "sharp_confidence": True},
        {"temperature": 0.5, "top_k": 3, "remasking": "margin"},
        {"top_k": 5, "sharp_confidence": True, "remasking": "entropy"},
        {"sharp_confidence": True},
    ],
)
def test_samples_and_cuts_are_scored_alike_a_few_rows_at_a_time(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_ROWS", 2 * VOCAB)
    got, wanted = _both(_case(7, sharpness=1.0), **options)
    assert torch.equal(got.candidates, wanted.candidates)
    assert torch.allclose(got.confidence, wanted.confidence, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"remasking": "margin"}, {"temperature": 0.5, "top_k": 2}])
def test_a_constraint_is_asked_alike(options: dict[str, Any]) -> None:
    got, wanted = _both(_case(7, sharpness=1.0), _Even(), banned=(2, 4), **options)
    assert torch.equal(got.candidates, wanted.candidates)
    assert (got.candidates % 2 == 0).all() and not torch.isin(got.candidates, torch.tensor([2, 4, MASK])).any()
    assert torch.allclose(got.confidence, wanted.confidence, atol=1e-5)
    assert torch.allclose(got.logits.double(), wanted.logits, atol=1e-5)
    assert got.logits.isneginf().sum(1).eq(VOCAB // 2 + 3).all()  # odd ids, two that are banned, the mask


@torch.no_grad()
def test_an_answer_under_a_constraint_is_that_of_the_plain_loop() -> None:
    model = tiny_model(tiny_config(None, vocab_size=VOCAB))
    prompt = model.segments(torch.tensor([1, 2, 3]), [])
    options = DecodeOptions(length=8, steps=4, early_stop=False)
    lean = list(answer_steps(model, prompt, options, constraint=_Even()))
    plain = denoise(
        answer_logits(model, prompt), Canvas.blank(8, MASK), options, mask_id=MASK, eos_ids=(41,), constraint=_Even()
    )
    assert [s.canvas.tolist() for s in lean] == [s.canvas.tolist() for s in plain]
    assert (lean[-1].canvas % 2 == 0).all() and (lean[-1].canvas == 8).any()


def test_nothing_to_look_at() -> None:
    for options in ({}, {"temperature": 1.0}):
        got, _ = _both(_case(0, sharpness=1.0), **options)
        assert len(got.candidates) == len(got.confidence) == 0


def test_equal_logits_give_the_first_token_in_any_chunk(chunk: object) -> None:
    got, wanted = _both(_case(4, sharpness=0.0))
    assert got.candidates.tolist() == wanted.candidates.tolist() == [0] * 4


def test_a_banned_id_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(RequestError, match="banned id 300"):
        _both(_case(2, sharpness=1.0), banned=(300,))


@torch.no_grad()
@pytest.mark.parametrize("logit_shift", [False, True])
@pytest.mark.parametrize("cache", ["prefix", "none", *BLOCK_CACHES])
@pytest.mark.parametrize(
    "options",
    [{"steps": 4}, {"threshold": 0.5}, {"temperature": 0.8, "steps": 6}, {"remasking": "entropy", "entropy_bound": 2}],
)
def test_an_answer_is_that_of_the_plain_loop(cache: str, logit_shift: bool, options: dict[str, Any]) -> None:
    model = tiny_model(tiny_config(None, logit_shift=logit_shift))
    prompt = model.segments(torch.tensor([1, 2, 3, 4]), [])
    chosen = DecodeOptions(length=12, block=6, cache=cache, seed=3, early_stop=False, **options)
    ids = torch.full((12,), MASK)
    ids[0] = 5  # given, so that Dream's rule for the first token has nothing to do
    lean = list(answer_steps(model, prompt, chosen, draft=ids))
    logits_of = answer_logits(model, prompt, cache)
    plain = list(denoise(logits_of, Canvas.draft(ids, MASK), chosen, mask_id=MASK, eos_ids=(41, 42)))
    assert [s.canvas.tolist() for s in lean] == [s.canvas.tolist() for s in plain]
    assert [s.committed.tolist() for s in lean] == [s.committed.tolist() for s in plain]
