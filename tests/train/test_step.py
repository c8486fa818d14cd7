"""The loss of a batch: which tokens are to be found, who sees whom, and that the pictures are encoded once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lavida.data.collate import Batch, Example, collate
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError
from lavida.image.tiles import Grid
from lavida.text.messages import IMAGE_ID
from lavida.train.step import Targets, TrainingStep, attention_mask, draw_targets, positions_of, splice_batch
from tests.fakes import image_tokens, tiny_config, tiny_model

PLAIN = Objective()
PREFIX = Objective(attention="prefix")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(seed: int = 0, *, columns: int = 0, rows: int = 0) -> tuple[torch.Tensor, Grid]:
    grid = Grid(columns=columns, rows=rows, width=28 * max(columns, 1), height=28 * max(rows, 1))
    return torch.randn(grid.n_views, 3, 28, 28, generator=generator(seed)), grid


def example(prompt: list[int], answer: list[int], *, views=(), name: str = "a:0", frozen: int | None = None) -> Example:
    ids = torch.tensor(prompt + answer)
    return Example(
        name=name,
        ids=ids,
        answer=torch.tensor([0] * len(prompt) + [1] * len(answer)),
        turn=torch.zeros_like(ids),
        frozen=ids == (-1 if frozen is None else frozen),
        views=list(views),
        length=len(ids),
    )


def batch_of(*examples: Example, end_padding: int | None = None, pack: int | None = None) -> Batch:
    return collate(examples, pad_id=41, end_padding=end_padding, pack=pack)


TWO = (
    example([IMAGE_ID, 3, 4, 5], [6, 7, 8, 41], views=[picture(1, columns=1, rows=2)]),
    example([9, 10], [11, 12, 41], name="a:1"),
)


@pytest.mark.parametrize("seed", range(20))
def test_the_two_copies_cover_every_answer_token_exactly_once(seed):
    batch = batch_of(*TWO, example([1, 2], [3, 30, 4], frozen=30), end_padding=6)
    hidden = draw_targets(batch, PLAIN, generator(seed))
    target = (batch.answer > 0) & ~batch.frozen
    assert torch.equal(hidden.masked.sum(0), target.long())
    assert bool(hidden.masked[0].any(-1).all())  # at least one in each row
    at = splice_batch(tiny_model(tiny_config()), batch)
    moved = at.gather(hidden.masked) & at.visible
    assert torch.equal(moved.sum((0, 2)), target.sum(1)) and not bool((moved & at.image).any())


def test_independent_masks_and_next_token_prediction():
    batch = batch_of(*TWO)
    twice = draw_targets(batch, replace(PLAIN, complementary=False), generator())
    assert twice.masked.shape[0] == 2 and not torch.equal(twice.masked[1], (batch.answer > 0) & ~twice.masked[0])
    once = draw_targets(batch, Objective(attention="causal", autoregressive=True), generator())
    assert torch.equal(once.masked[0], batch.answer > 0) and once.masked.shape[0] == 1


def test_what_counts_in_an_update():
    hidden = draw_targets(batch_of(*TWO), PLAIN, generator())
    assert hidden.weight("mean") == 7 and hidden.weight("1/t") == 4


def test_pictures_stand_in_their_places():
    model, batch = tiny_model(tiny_config()), batch_of(*TWO)
    at = splice_batch(model, batch)
    tokens = image_tokens(model, *batch.views[0][0])
    assert torch.allclose(at.x[0, : len(tokens)], tokens, atol=1e-6)
    assert torch.equal(at.x[0, len(tokens)], model.denoiser.embed(torch.tensor(3)))
    ids = at.gather(batch.ids)
    assert ids[0, len(tokens) :].tolist() == [3, 4, 5, 6, 7, 8, 41] and at.image[0].sum() == len(tokens)
    assert at.visible[0].all() and at.visible[1].sum() == 5  # the rest of the shorter row is filling


def loss_of(objective: Objective, batch: Batch, *, shared: bool = False, hidden: Targets | None = None, **denoiser):
    model = tiny_model(tiny_config(shared_image=shared, **denoiser)).train()
    return TrainingStep(model, objective)(batch, hidden or draw_targets(batch, objective, generator()))


@pytest.mark.parametrize("objective", [PLAIN, PREFIX, replace(PLAIN, attention="turns")])
def test_rows_do_not_depend_on_their_neighbours(objective):
    alone = [batch_of(one) for one in TWO]
    both = batch_of(*TWO)
    hidden = draw_targets(both, objective, generator(3))
    whole, counts = loss_of(objective, both, hidden=hidden)
    parts = 0.0
    for i, batch in enumerate(alone):
        cut = batch.ids.shape[1]
        own = Targets(
            masked=hidden.masked[:, i : i + 1, :cut], p=hidden.p[:, i : i + 1], lengths=hidden.lengths[i : i + 1]
        )
        parts += own.weight("mean") * loss_of(objective, batch, hidden=own)[0].item()
    assert float(whole) == pytest.approx(parts / hidden.weight("mean"), abs=1e-5)
    assert int(counts[1].sum()) == 7 and float(counts[0].sum()) / 7 == pytest.approx(float(whole), abs=1e-4)


def test_packed_samples_are_what_they_are_apart():
    whole, packed = batch_of(*TWO), batch_of(*TWO, pack=64)
    assert len(packed.ids) == 1
    hidden = draw_targets(whole, PREFIX, generator(1))
    masked = torch.cat((hidden.masked[:, 0], hidden.masked[:, 1, :5]), -1)[:, None]
    odds = hidden.p[:, :1]
    together = Targets(masked=masked, p=odds, lengths=hidden.lengths.sum(0, keepdim=True))
    apart = loss_of(PREFIX, whole, hidden=hidden)[0]
    assert float(loss_of(PREFIX, packed, hidden=together)[0]) == pytest.approx(float(apart), abs=1e-5)
    at = splice_batch(tiny_model(tiny_config()), packed)
    places = positions_of(packed, at)
    assert places[0, -5:].tolist() == [0, 1, 2, 3, 4] and places[0, 3] == 3


def seen_by(attention: str, *, shared: bool = False) -> torch.Tensor:
    batch = batch_of(TWO[0])
    batch = replace(batch, turn=torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1]]))
    at = splice_batch(tiny_model(tiny_config()), batch)
    mask = attention_mask(batch, at, attention, shared_image=shared)[0, 0]
    cells = int(at.image.sum())
    keep = [0, *range(cells, len(mask))]  # one token of the picture, then 3 of the prompt and 4 of the answer
    return mask[keep][:, keep]


def test_who_sees_whom():
    prompt, answer = slice(0, 4), slice(4, 8)
    prefix = seen_by("prefix")
    assert prefix[answer].all() and prefix[prompt, prompt].all() and not prefix[prompt, answer].any()
    shared = seen_by("prefix", shared=True)
    assert shared[0, 0] and not shared[0, 1:].any() and shared[1:4, :4].all() and shared[answer].all()
    turns = seen_by("turns")
    assert turns[:6, :6].all() and not turns[:6, 6:].any() and turns[6:].all()
    assert torch.equal(seen_by("causal")[1:, 1:], torch.ones(7, 7, dtype=torch.bool).tril())
    batch = batch_of(TWO[0])
    assert attention_mask(batch, splice_batch(tiny_model(tiny_config()), batch), "full") is None


def test_a_picture_that_stands_apart_wants_the_prefix_mask():
    with pytest.raises(ConfigError, match="take prefix"):
        loss_of(PLAIN, batch_of(*TWO), shared=True)


def test_the_bound_weighs_by_the_masking_probability():
    batch = batch_of(TWO[1])
    masked = torch.tensor([[[0, 0, 1, 0, 0]], [[0, 0, 0, 1, 1]]]).bool()
    hidden = Targets(masked=masked, p=torch.tensor([[0.25], [0.75]]), lengths=torch.tensor([3]))
    _, counts = loss_of(PLAIN, batch, hidden=hidden)
    first, second = counts[0, 2], counts[0, 7]
    bound, _ = loss_of(replace(PLAIN, weighting="1/t"), batch, hidden=hidden)
    assert float(bound) == pytest.approx(float(first / 0.25 / 3 + second / 0.75 / 3) / 2, rel=1e-5)


def test_the_tower_runs_once_for_both_copies():
    model, calls = tiny_model(tiny_config()).train(), []
    model.tower.register_forward_hook(lambda module, args, out: calls.append(len(args[0])))
    batch = batch_of(*TWO, example([IMAGE_ID, 2], [3], views=[picture(2)]))
    loss, _ = TrainingStep(model, PLAIN)(batch, draw_targets(batch, PLAIN, generator()))
    loss.backward()
    assert calls == [4] and model.tower.encoder.layers[0].mlp.fc1.weight.grad.abs().sum() > 0
