"""A span of ids that may be written, annealed choices, a canvas that guidance does not see change, given noise."""

from __future__ import annotations

import pytest
import torch

from lavida.decode.context import StaleContext
from lavida.decode.driver import answer_steps
from lavida.decode.loop import Canvas, DenoisingLoop
from lavida.decode.noise import SlotNoise, TextNoise
from lavida.decode.options import DecodeOptions
from lavida.decode.score import Scores, fused_scores, score, score_logits
from lavida.diffusion.reveal import annealed, masked_share, reveal_counts
from lavida.errors import RequestError
from tests.fakes import tiny_config, tiny_model
from tests.loops import whole

VOCAB, MASK = 300, 40


def head_of(weight: torch.Tensor):
    return lambda hidden, part=None: hidden @ (weight if part is None else weight[part]).T


@pytest.mark.parametrize("measure", ["confidence", "margin", "entropy"])
@pytest.mark.parametrize("span", [(0, 40), (30, 50), (200, 300), (250, 999)])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_span_is_scored_as_if_there_were_no_other_ids(
    measure: str, span: tuple[int, int], temperature: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(6, 16, generator=generator), torch.randn(VOCAB, 16, generator=generator)
    options = DecodeOptions(length=6, remasking=measure, span=span, temperature=temperature, banned=(span[0] + 3, 2))
    query = whole(torch.full((6,), MASK))
    computed: list[int] = []

    def head(states: torch.Tensor, part: slice | None = None) -> torch.Tensor:
        logits = head_of(weight)(states, part)
        computed.append(logits.shape[-1])
        return logits

    drawn = [torch.Generator().manual_seed(1) for _ in range(2)]
    got = score(query, hidden, head, VOCAB, options, mask_id=MASK, generator=drawn[0])
    behind = min(span[1], VOCAB)
    assert sum(computed) == behind - span[0]
    logits = head_of(weight)(hidden)[:, span[0] : behind]
    inside = MASK - span[0] if span[0] <= MASK < span[1] else None
    plain = DecodeOptions(length=6, remasking=measure, temperature=temperature, banned=(3, *([2] * (span[0] == 0))))
    wanted = score_logits(query, logits, plain, mask_id=inside, generator=drawn[1])
    assert torch.equal(got.candidates, wanted.candidates + span[0])
    assert torch.allclose(got.confidence.double(), wanted.confidence, atol=1e-6)
    assert ((got.candidates >= span[0]) & (got.candidates < behind) & (got.candidates != MASK)).all()


def test_a_span_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(RequestError, match="span begins at 300, beyond the vocabulary of 300"):
        score(
            whole(torch.full((2,), MASK)), torch.zeros(2, 4), head_of(torch.zeros(VOCAB, 4)), VOCAB,
            DecodeOptions(length=2, span=(300, 310)), mask_id=MASK, generator=torch.Generator(),
        )  # fmt: skip


def test_annealed_choices_end_with_the_surest() -> None:
    options = DecodeOptions(length=64, counts=(1, 63), annealed=True, selection_temperature=4.0)
    confidence = torch.linspace(0.01, 0.99, 64, dtype=torch.float64)
    firsts = set()
    for seed in range(20):
        chosen = DecodeOptions(**{**vars(options), "seed": seed})
        loop = DenoisingLoop(Canvas.blank(64, MASK), chosen, mask_id=MASK, eos_ids=())
        firsts.add(
            int(loop.step(Scores(candidates=torch.zeros(64, dtype=torch.long), confidence=confidence)).committed)
        )
    assert len(firsts) > 5  # noise of temperature 2 at the first of two steps
    calm = DenoisingLoop(
        Canvas.blank(64, MASK), DecodeOptions(length=64, counts=(64,), annealed=True, selection_temperature=4.0),
        mask_id=MASK, eos_ids=(),
    )  # fmt: skip
    assert len(calm.step(Scores(candidates=torch.zeros(64, dtype=torch.long), confidence=confidence)).committed) == 64


def test_temperatures_fall_to_nothing() -> None:
    assert [annealed(2.0, step, 4) for step in range(4)] == [1.5, 1.0, 0.5, 0.0]
    assert [annealed(2.0, step, 4, cumulative=True) for step in range(4)] == [1.5, 0.75, 0.1875, 0.0]


@pytest.mark.parametrize(
    "options", [{"remasking": "entropy"}, {"remasking": "random"}, {"threshold": 0.5}, {"revise": 0.5}]
)
def test_annealing_goes_with_probabilities(options: dict) -> None:
    with pytest.raises(RequestError, match="annealed takes the logarithm"):
        DecodeOptions(length=4, annealed=True, **options)


@pytest.mark.parametrize("curve", ["cosine", "linear", "sigmoid", "pow2", "pow0.5"])
@pytest.mark.parametrize(
    ("masks", "steps", "slots"), [(16, 5, None), (7, 7, None), (5, 12, 16), (16, 1, 16), (1, 3, None)]
)
def test_counts_sum_to_the_masks(curve: str, masks: int, steps: int, slots: int | None) -> None:
    counts = reveal_counts(masks, steps, curve, slots=slots)
    assert sum(counts) == masks and counts[-1] >= 1
    if slots is None:
        assert len(counts) == min(steps, masks) and min(counts) >= 1
    else:
        assert len(counts) == steps and min(counts) >= 0


def test_unknown_curves_are_refused() -> None:
    for curve in ("cosin", "pow", "powx"):
        with pytest.raises(RequestError, match=f"unknown curve '{curve}'"):
            masked_share(torch.tensor(0.5), curve)
    with pytest.raises(RequestError, match="both must be at least 1"):
        reveal_counts(0, 3, "cosine")


def test_a_stale_context_shows_the_first_canvas() -> None:
    shown = []

    class Watched:
        head = staticmethod(lambda hidden, part=None: hidden)

        def forwards(self, query):
            shown.append(query.ids.tolist())
            return []

        def hidden(self, query, outputs):
            return query.ids

    context = StaleContext(Watched(), 2)
    for ids in ([9, 9, 9, 9], [1, 9, 3, 9], [1, 2, 3, 4]):
        context.forwards(whole(torch.tensor(ids)))
    assert shown == [[9, 9, 9, 9], [9, 9, 3, 9], [9, 9, 3, 4]]


def test_rows_of_a_batch_share_one_sequence() -> None:
    """Each answer of a batch leaves out what the others draw, whatever parts of its own it asks for."""
    whole_noise = torch.Generator().manual_seed(5)
    steps = [torch.rand(2, 7, 11, dtype=torch.float64, generator=whole_noise) for _ in range(2)]
    for row in range(2):
        noise = TextNoise(5, before=3, length=4, row=row, rows=2)
        for drawn, places in zip(steps, ([0, 2, 3], [1])):
            rows = torch.tensor(places)
            got = torch.cat([noise.tokens(part, 11) for part in rows.split(2)])
            assert torch.equal(got, -torch.log(-torch.log(drawn[row, 3 + rows])))
            noise.begin()


def test_confidences_follow_the_tokens() -> None:
    generator = torch.Generator().manual_seed(5)
    torch.rand(1, 5, 11, dtype=torch.float64, generator=generator)
    wanted = torch.rand(1, 5, generator=generator)[0, 2 + torch.tensor([0, 2])]
    noise = TextNoise(5, before=2, length=3)
    noise.tokens(torch.tensor([1]), 11)
    assert torch.equal(noise.confidences(torch.tensor([0, 2])), wanted.double())


def test_slots_draw_positions_at_every_step() -> None:
    generator = torch.Generator().manual_seed(6)
    clocks = (-torch.log1p(-torch.rand(4, 8, dtype=torch.float64, generator=generator))).float()
    uniform = torch.rand(4, generator=generator)
    noise, rows = SlotNoise(6, length=4), torch.tensor([1, 3])
    assert torch.equal(noise.tokens(rows, 8), -torch.log(clocks[rows].double()))
    assert torch.allclose(noise.positions(rows), -torch.log(-torch.log(uniform[rows].double())))


def test_given_noise_decides_the_answer() -> None:
    model = tiny_model(tiny_config(None))
    options = DecodeOptions(length=6, temperature=1.0, cache="none", early_stop=False)
    prompt = model.segments(torch.tensor([1, 2, 3]), [])

    def answer(seed: int) -> list[int]:
        *_, last = answer_steps(model, prompt, options, noise=TextNoise(seed, before=3, length=6))
        return last.canvas.tolist()

    assert answer(1) == answer(1) != answer(2)


def test_fused_scores_without_a_mask() -> None:
    logits = torch.tensor([[0.0, 1.0, 3.0]])
    found = fused_scores(logits, lambda whole, part: whole[:, part].clone(), 3, measure="confidence", mask_id=None)
    assert found.candidates.tolist() == [2]
    assert found.confidence.item() == pytest.approx(logits.softmax(-1)[0, 2].item())
