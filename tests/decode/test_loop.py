from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lavida.decode.loop import Canvas, DenoisingLoop, Step, find_stop
from lavida.decode.options import REMASKING, DecodeOptions
from lavida.decode.score import Query, score_logits
from lavida.diffusion.schedule import SCHEDULES, unmask_counts
from lavida.errors import RequestError
from tests.fakes import tiny_config, tiny_model
from tests.loops import LogitsOf, answer_logits, denoise

MASK, EOS, VOCAB = 40, 41, 48


def _fake(seed: int = 0) -> LogitsOf:
    """Logits that depend on the whole canvas, without a network."""
    weights = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(seed))

    def logits_of(look: Query) -> Tensor:
        ids, places = look.ids, torch.arange(len(look.ids))[:, None]
        return (weights[ids] + 0.3 * weights[ids].sum(0) + torch.sin(places * weights[7]))[look.rows]

    return logits_of


def _says(*tokens: int) -> LogitsOf:
    """Certain of each token, the later the less."""
    logits = torch.zeros(len(tokens), VOCAB)
    for i, token in enumerate(tokens):
        logits[i, token] = 30.0 - i
    return lambda look: logits[look.rows]


def _run(logits_of: LogitsOf, canvas: Canvas | None = None, **options: object) -> list[Step]:
    chosen = DecodeOptions(**{"early_stop": False, **options})
    canvas = canvas or Canvas.blank(chosen.length, MASK)
    return list(denoise(logits_of, canvas, chosen, mask_id=MASK, eos_ids=(EOS, EOS + 1)))


@pytest.mark.parametrize("remasking", REMASKING)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("steps", "block", "temperature"), [(24, None, 0.0), (7, None, 0.8), (6, 8, 0.0), (5, 5, 0.8), (1, None, 0.0)]
)
def test_committed_never_changes_and_all_masks_end_committed(
    remasking: str, schedule: str, steps: int, block: int | None, temperature: float
) -> None:
    ids = torch.full((24,), MASK)
    ids[[2, 11]] = torch.tensor([3, 4])
    got = _run(
        _fake(),
        Canvas.draft(ids, MASK),
        length=24,
        remasking=remasking,
        schedule=schedule,
        steps=steps,
        block=block,
        temperature=temperature,
    )
    before, seen = ids, []
    for i, step in enumerate(got):
        changed = (step.canvas != before).nonzero().flatten()
        assert sorted(step.committed.tolist()) == changed.tolist()
        assert (before[changed] == MASK).all()
        assert (step.index, step.forwards) == (i, i + 1)
        before = step.canvas
        seen += step.committed.tolist()
    assert sorted(seen) == [i for i in range(24) if i not in (2, 11)]
    assert not (before == MASK).any()
    assert len(got) <= steps


def test_steps_commit_as_the_schedule_says() -> None:
    got = _run(_fake(), length=32, steps=8)
    assert [len(s.committed) for s in got] == unmask_counts(32, 8, "shift")


def test_blocks_finish_from_left_to_right() -> None:
    order = [p for s in _run(_fake(), length=24, block=8) for p in s.committed.tolist()]
    assert [p // 8 for p in order] == sorted(p // 8 for p in order)


def test_surest_is_committed_first() -> None:
    order = [p for s in _run(_says(1, 2, 3, 4), length=4) for p in s.committed.tolist()]
    assert order == [0, 1, 2, 3]


def test_the_mask_itself_is_never_written() -> None:
    assert MASK not in _run(_says(MASK, 2, MASK, 4), length=4)[-1].canvas.tolist()


def test_early_stop_pads_once_all_before_the_end_is_committed() -> None:
    got = _run(_says(1, EOS, 9, 9, 9, 9), length=6, early_stop=True)
    assert len(got) == 2
    assert got[-1].canvas.tolist() == [1, EOS, EOS, EOS, EOS, EOS]
    assert got[-1].committed.tolist() == [1, 2, 3, 4, 5]


def test_early_stop_waits_for_what_is_open_before_the_end() -> None:
    logits = torch.zeros(4, VOCAB)
    for i, (token, sure) in enumerate([(1, 5.0), (2, 4.0), (EOS, 20.0), (9, 3.0)]):
        logits[i, token] = sure
    got = _run(lambda look: logits[look.rows], length=4, early_stop=True)
    assert [s.committed.tolist() for s in got] == [[2], [0], [1, 3]]
    assert got[-1].canvas.tolist() == [1, 2, EOS, EOS]


def test_without_early_stop_every_step_runs() -> None:
    assert len(_run(_says(1, EOS, 9, 9, 9, 9), length=6)) == 6


@pytest.mark.parametrize("cache", ["prefix", "none"])
def test_same_seed_same_text_on_one_and_two_threads(cache: str) -> None:
    model = tiny_model(tiny_config(None))
    prompt = model.segments(torch.tensor([1, 2, 3, 4]), [])
    threads = torch.get_num_threads()
    runs = []
    try:
        for n in (1, 2, 1):
            torch.set_num_threads(n)
            runs.append(
                _run(answer_logits(model, prompt, cache), length=16, temperature=1.0, seed=5)[-1].canvas.tolist()
            )
    finally:
        torch.set_num_threads(threads)
    assert runs[0] == runs[1] == runs[2]
    other = _run(answer_logits(model, prompt, cache), length=16, temperature=1.0, seed=6)[-1].canvas.tolist()
    assert other != runs[0]


def test_the_loop_leaves_earlier_events_alone() -> None:
    got = _run(_fake(), length=8)
    assert (got[0].canvas == MASK).sum() == 7
    assert got[0].confidence.shape == (8,)


def test_a_draft_of_another_length_is_refused() -> None:
    with pytest.raises(RequestError, match="5 tokens and length is 8"):
        _run(_fake(), Canvas.blank(5, MASK), length=8)


def test_nothing_is_written_behind_a_stop() -> None:
    logits = torch.zeros(6, VOCAB)
    for i, (token, sure) in enumerate([(1, 5.0), (2, 4.0), (7, 20.0), (8, 19.0), (3, 18.0), (4, 3.0)]):
        logits[i, token] = sure
    got = _run(lambda look: logits[look.rows], length=6, stops=((9,), (7, 8)))
    # The sequence 7, 8 is complete after two steps; the surer 3 behind it is never written, and the rest is padding.
    assert [s.committed.tolist() for s in got] == [[2], [3], [0], [1, 4, 5]]
    assert got[-1].canvas.tolist() == [1, 2, 7, 8, EOS, EOS]
    assert find_stop(got[-1].canvas, ((9,), (7, 8))) == 2


def test_blocks_behind_a_stop_cost_no_pass() -> None:
    got = _run(_says(1, 7, 3, 4, 5, 6), length=6, block=2, stops=((7,),))
    assert [s.canvas.tolist() for s in got] == [[1, MASK, MASK, MASK, MASK, MASK], [1, 7, EOS, EOS, EOS, EOS]]


def test_a_stop_in_a_draft_counts_once_the_loop_has_looked() -> None:
    ids = torch.tensor([MASK, 7, MASK, MASK])
    got = _run(_says(1, 2, 3, 4), Canvas.draft(ids, MASK), length=4, stops=((7,),))
    assert [s.canvas.tolist() for s in got] == [[1, 7, EOS, EOS]]


def test_find_stop_takes_the_first_of_all() -> None:
    ids = torch.tensor([5, 1, 2, 3, 1, 2])
    assert find_stop(ids, ((3,), (1, 2))) == 1
    assert find_stop(ids, ((2, 1), (1,) * 9)) == 6
    assert find_stop(ids, ()) == 6


def test_stops_need_something_to_pad_with() -> None:
    options = DecodeOptions(length=4, stops=((1,),))
    with pytest.raises(RequestError, match="give eos_ids"):
        next(denoise(_fake(), Canvas.blank(4, MASK), options, mask_id=MASK, eos_ids=()))


def test_text_behind_the_canvas_is_seen_and_kept() -> None:
    canvas = Canvas.draft(torch.tensor([MASK] * 6 + [11, 22]), MASK)
    seen = []

    def logits_of(look: Query) -> Tensor:
        seen.append(look.ids.tolist())
        return _says(1, EOS, 3, 4, 5, 6)(look)

    got = _run(logits_of, canvas, length=6, early_stop=True)
    assert all(ids[-2:] == [11, 22] for ids in seen)
    assert got[-1].canvas.tolist() == [1, EOS, EOS, EOS, EOS, EOS, 11, 22]
    with pytest.raises(RequestError, match="8 tokens and length is 6"):
        _run(_fake(), Canvas.blank(8, MASK), length=6)


def test_a_threshold_commits_the_best_and_all_that_reach_it() -> None:
    logits = torch.zeros(4, VOCAB)
    for i, p in enumerate([0.6, 0.95, 0.2, 0.9]):
        logits[i, i] = math.log(p / (1 - p) * (VOCAB - 1))
    got = _run(lambda look: logits[look.rows], length=4, threshold=0.89)
    assert [s.committed.tolist() for s in got] == [[1, 3], [0], [2]]
    assert [s.committed.tolist() for s in _run(lambda look: logits[look.rows], length=4, threshold=0.1)] == [
        [1, 3, 0, 2]
    ]


def test_counts_say_what_each_step_commits() -> None:
    got = _run(_fake(), length=8, counts=(0, 3, 5))
    assert [len(s.committed) for s in got] == [0, 3, 5]
    assert torch.equal(got[0].canvas, torch.full((8,), MASK))


def test_banned_ids_are_never_written() -> None:
    assert {1, 2} & set(_run(_says(1, 2, 1, 2), length=4)[-1].canvas.tolist())
    assert not {1, 2} & set(_run(_says(1, 2, 1, 2), length=4, banned=(1, 2))[-1].canvas.tolist())
    with pytest.raises(RequestError, match="banned id 99"):
        _run(_fake(), length=4, banned=(99,))


def test_sharp_confidence_is_measured_after_the_cut() -> None:
    logits = torch.full((2, VOCAB), -30.0)
    logits[0, :3] = torch.tensor([0.5, 0.3, 0.2]).log()
    logits[1, :2] = torch.tensor([0.6, 0.4]).log()
    plain, sharp = (
        _run(lambda look: logits[look.rows], length=2, sharp_confidence=sharp, top_k=1 if sharp else None)
        for sharp in (False, True)
    )
    assert plain[0].confidence.tolist() == pytest.approx([0.5, 0.6])
    assert sharp[0].confidence.tolist() == pytest.approx([1.0, 1.0])


def test_the_loop_says_which_block_it_is_in() -> None:
    looks: list[Query] = []

    def logits_of(look: Query) -> Tensor:
        looks.append(look)
        return _fake()(look)

    _run(logits_of, length=6, block=4, steps=3)
    assert [(x.block.start, x.block.stop, x.refresh) for x in looks] == [(0, 4, True), (0, 4, False), (4, 6, True)]
    assert all(x.block.start <= x.rows.min() and x.rows.max() < x.block.stop for x in looks)


def test_loops_that_take_turns_write_what_each_writes_alone() -> None:
    chosen = [DecodeOptions(length=9, steps=3), DecodeOptions(length=6, temperature=0.7, seed=4, block=2)]
    alone = [list(denoise(_fake(), Canvas.blank(o.length, MASK), o, mask_id=MASK, eos_ids=(EOS,))) for o in chosen]
    loops = [DenoisingLoop(Canvas.blank(o.length, MASK), o, mask_id=MASK, eos_ids=(EOS,)) for o in chosen]
    steps: list[list[Step]] = [[], []]
    while any(loop.query for loop in loops):
        for i, loop in enumerate(loops):
            if loop.query is not None:
                logits = _fake()(loop.query)
                scores = score_logits(loop.query, logits, chosen[i], mask_id=MASK, generator=loop.generator)
                steps[i].append(loop.step(scores))
    for got, wanted in zip(steps, alone, strict=True):
        assert [s.canvas.tolist() for s in got] == [s.canvas.tolist() for s in wanted]


class _Ascending:
    """Ids that never fall from left to right, all of them below 30."""

    def __init__(self) -> None:
        self.checked: list[list[int]] = []

    def check(self, ids: Tensor) -> None:
        self.checked.append(ids.tolist())
        if len(ids) > 30:
            raise RequestError("the canvas is too long")

    def allowed(self, ids: Tensor, rows: Tensor) -> Tensor:
        allowed = torch.zeros(len(rows), VOCAB, dtype=torch.bool)
        for i, row in enumerate(rows.tolist()):
            low = max([0, *(t for t in ids[:row].tolist() if t != MASK)])
            high = min([29, *(t for t in ids[row:].tolist() if t != MASK)])
            allowed[i, low : high + 1] = True
        return allowed

    def commit(self, ids: Tensor, rows: Tensor, candidates: Tensor, chosen: Tensor, logits: Tensor) -> Tensor:
        assert logits.shape == (len(rows), VOCAB)
        ids, found = ids.clone(), []
        for i in chosen.tolist():
            allowed = self.allowed(ids, rows[i : i + 1])[0]
            ids[rows[i]] = logits[i].masked_fill(~allowed, -torch.inf).argmax()
            found.append(int(ids[rows[i]]))
        return torch.tensor(found)


@pytest.mark.parametrize("options", [{"steps": 1}, {"steps": 3}, {"temperature": 1.0, "top_k": 2}, {"block": 4}])
def test_a_constraint_has_the_last_word(options: dict[str, object]) -> None:
    constraint, chosen = _Ascending(), DecodeOptions(length=12, early_stop=False, **options)
    steps = list(denoise(_fake(), Canvas.blank(12, MASK), chosen, mask_id=MASK, eos_ids=(EOS,), constraint=constraint))
    ids = steps[-1].canvas.tolist()
    assert ids == sorted(ids) and max(ids) < 30
    free = _run(_fake(), length=12, **options)[-1].canvas.tolist()
    assert free != sorted(free) or max(free) >= 30
    assert constraint.checked == [[MASK] * 12]


def test_a_constraint_refuses_before_the_first_look() -> None:
    seen: list[Query] = []
    for message, options in (
        ("the canvas is too long", DecodeOptions(length=31)),
        ("leave out stops", DecodeOptions(length=4, stops=((1,),))),
    ):
        canvas = Canvas.blank(options.length, MASK)
        with pytest.raises(RequestError, match=message):
            next(denoise(seen.append, canvas, options, mask_id=MASK, eos_ids=(EOS,), constraint=_Ascending()))
    assert seen == []


def _grows_sure(sure: dict[int, list[float]]) -> LogitsOf:
    """Position p is given token p with the probabilities `sure[p]`, one for each time that it is looked at."""
    times = dict.fromkeys(sure, 0)

    def logits_of(look: Query) -> Tensor:
        logits = torch.zeros(len(look.rows), VOCAB)
        for i, p in enumerate(look.rows.tolist()):
            share = sure[p][min(times[p], len(sure[p]) - 1)]
            times[p] += 1
            logits[i, p + min(times[p], 2) * 10] = math.log(share / (1 - share) * (VOCAB - 1))
        return logits

    return logits_of


def test_the_factor_and_the_entropy_bound_commit_more_where_the_model_is_sure() -> None:
    certain, unsure = {p: [0.999] for p in range(6)}, {p: [0.3] for p in range(6)}
    for rule in ({"factor": 0.5}, {"entropy_bound": 0.1, "remasking": "entropy"}):
        assert len(_run(_grows_sure(certain), length=6, **rule)) == 1
        assert len(_run(_grows_sure(unsure), length=6, **rule)) == 6


def test_revising_writes_the_weak_half_anew_and_nothing_else() -> None:
    sure = {0: [0.9], 1: [0.2, 0.8], 2: [0.95], 3: [0.4, 0.85], 4: [0.3, 0.7], 5: [0.99]}
    got = _run(_grows_sure(sure), length=6, steps=1, revise=0.35)
    assert [s.committed.tolist() for s in got] == [[5, 2, 0, 3, 4, 1], [1, 4]]
    assert got[0].canvas.tolist() == [10, 11, 12, 13, 14, 15]
    assert got[1].canvas.tolist() == [10, 21, 12, 13, 24, 15]
    assert got[1].confidence[[1, 4]].tolist() == pytest.approx([0.8, 0.7])
    assert len(_run(_grows_sure(sure), length=6, steps=1, revise=0.1)) == 1  # nothing is weak
    everything = _run(_grows_sure(sure), length=6, steps=1, revise=1.0)
    assert sorted(everything[1].committed.tolist()) == [1, 3, 4]  # half of it at most


def test_revising_keeps_the_draft_the_end_and_the_pace() -> None:
    ids = torch.full((8,), MASK)
    ids[3] = 7
    got = _run(_fake(), Canvas.draft(ids, MASK), length=8, steps=7, revise=1.0, schedule="even")
    first, again = got[:7], got[7:]
    assert [len(s.committed) for s in again] == [1, 1, 1]
    assert all(s.canvas[3] == 7 for s in got) and not (got[-1].canvas == MASK).any()
    assert not {3} & {p for s in first + again for p in s.committed.tolist()}
    ended = _run(_says(1, 2, EOS, 9, 9, 9), length=6, early_stop=True, revise=1.0)
    assert ended[-1].canvas.tolist() == [1, 2, EOS, EOS, EOS, EOS]
    assert [s.committed.tolist() for s in ended] == [[0], [1], [2, 3, 4, 5], [1]]


def test_blocks_are_revised_before_the_next_begins() -> None:
    got = _run(_fake(), length=8, block=4, steps=2, revise=1.0)
    assert [[p // 4 for p in s.committed.tolist()] for s in got] == [[0] * 4, [0] * 2, [1] * 4, [1] * 2]


def test_refresh_asks_for_full_passes_now_and_then() -> None:
    def fresh(**options: object) -> list[bool]:
        looks: list[Query] = []
        _run(lambda look: looks.append(look) or _fake()(look), length=8, block=4, cache="dual", **options)
        return [look.refresh for look in looks]

    assert fresh() == [True, False, False, False] * 2
    assert fresh(refresh=2) == [True, False] * 4
    assert fresh(refresh=3) == [True, False, False, True] * 2
    assert fresh(refresh=1) == [True] * 8
