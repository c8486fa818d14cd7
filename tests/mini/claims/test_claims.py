"""The arithmetic of each claim on made-up answers, tiny networks and a tiny model."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from lavida.api import Model
from mini.claims import dialogue, languages, masking, passes, poems, prefix, recall, twin
from mini.claims.captions import Captions, Drawn, write
from mini.claims.result import NotMeasuredError
from mini.claims.setting import Setting
from mini.data.worlds import SceneSampler
from mini.eval.poem import PoemTask, WrittenPoem
from tests.mini.eval.fakes import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    tiny = tiny_model()
    return Model(tiny.net, tiny.tokenizer, name="tiny")


def drawn(n: int, seeds: int = 2) -> list[Drawn]:
    """Scenes with grey pictures."""
    world, pictures = SceneSampler.symbolic(), [Image.new("RGB", (64, 64), (90 + i, 80, 70)) for i in range(n)]
    return [Drawn(scenes=[world.scene(random.Random(10 * s + i)) for i in range(n)], pictures=pictures)
            for s in range(seeds)]  # fmt: skip


def test_weights_of_an_earlier_day_come_from_git_or_are_named_as_missing(tmp_path: Path) -> None:
    setting = Setting(data=tmp_path, runs=tmp_path / "runs" / "claims", paired=tmp_path / "mine")
    assert setting.counterpart == tmp_path / "mine"
    with pytest.raises(NotMeasuredError, match="needs the weights of commit 0000000, which this copy's git history"):
        setting.earlier("0000000")
    made = []
    assert [setting.once("key", lambda: made.append(1) or 5) for _ in range(2)] == [5, 5] and made == [1]
    assert setting.some(7, 1) == 7 and Setting(data=tmp_path, runs=tmp_path, quick=True).some(7, 1) == 1


def test_a_part_is_made_once_for_each_setting(tmp_path: Path) -> None:
    setting, made = Setting(data=tmp_path, runs=tmp_path / "runs"), []
    for _ in range(2):
        assert setting.part("C1-x", lambda: made.append(1) or [1, "a"]) == [1, "a"]
    assert made == [1]
    assert replace(setting, seeds=2).part("C1-x", lambda: [2]) == [2]  # what was measured otherwise is not mixed in


def test_captions_are_written_side_by_side_and_judged_by_seed(model: Model) -> None:
    captions = Captions(model, drawn(3), "caption")
    written = captions.write({"length": 6, "steps": 2})
    assert [len(own) for own in written] == [3, 3] and all(one.passes <= 2 for own in written for one in own)
    alone = model.ask(drawn(3)[0].pictures[1], "Describe the image.", length=6, steps=2)
    assert written[0][1].text == alone.text
    scores = captions.scores(written)
    assert [len(own) for own in scores] == [3, 3] and all(value >= 0 for own in scores for value in own)


def test_c1_ratios_are_of_one_picture_and_the_paper_s_length_decides() -> None:
    base = [[twin.Seconds(0.1, 0.3)], [twin.Seconds(0.1, 0.5)]]
    own = [[twin.Seconds(0.1, 0.1)], [twin.Seconds(0.2, 0.1)]]
    assert twin.ratios(base, own, whole=False) == [[pytest.approx(3)], [pytest.approx(5)]]
    assert twin.ratios(base, own, whole=True) == [[pytest.approx(2)], [pytest.approx(2)]]
    every = [arm for length in twin.LENGTHS for arm in twin.arms(length)]
    assert len(every) == 3 * (1 + 2 * 4) and twin.options_of(twin.Arm("run 5", 32, "3/4 L")) == {
        "length": 32,
        "steps": 24,
    }
    assert twin.options_of(twin.Arm("twin", 64)) == {"length": 64}
    scores = {arm: [[1.0, 1.2], [1.1, 1.3]] for arm in every}
    scores[twin.Arm("run 5", 32, "L")] = [[2.0, 2.0], [2.0, 2.0]]
    scores[twin.Arm("run 5", 32, "1/2 L")] = [[0.5, 0.5], [0.5, 0.5]]
    seconds = {arm: (own if arm.model == "run 5" else base) for arm in every}
    result = twin.report(scores, dict.fromkeys(every, 8.0), seconds, {16: 2, 32: 2, 64: 2}, SimpleNamespace(seeds=2))
    assert [one.outcome for one in result.checks] == ["yes", "no", "yes"] and result.verdict == "holds in part"
    assert len(result.tables[0].rows) == len(every) and result.checks[2].mean == pytest.approx(2)


def test_c1_times_reading_and_writing(model: Model) -> None:
    one = twin.once(model, twin.Arm("run 5", 16, "1/4 L"), Image.new("RGB", (64, 64)))
    assert one.reading > 0 and one.writing > 0


def test_c2_counts_poems_of_which_every_line_is_kept() -> None:
    def poem(*lines: str) -> WrittenPoem:
        return WrittenPoem(lines=lines, passes=1, seconds=0.0, likelihood=0.0, twin_likelihood=0.0)

    task = PoemTask(picture=Image.new("RGB", (8, 8)), scene=drawn(1)[0].scenes[0], starts=("A", "Be", "Ca", "De"))
    kept, broken = poem("A cat", "Bees", "Cats", "Deer"), poem("A cat", "Bees", "x", "y")
    found = {m: [[kept], [kept]] for m in poems.METHODS} | {
        m: [[broken], [broken]] for m in ("prompted", "twin prompted")
    }
    result = poems.report([[task], [task]], found)
    assert result.verdict == "holds" and result.checks[2].mean == 1
    assert ("twin prompted", 0.5, 0.0) in result.tables[0].rows
    found["infilled"] = [[kept], [broken]]
    assert poems.report([[task], [task]], found).checks[0].outcome == "open"


def scores_of(arms: list[str], value) -> tuple[dict, dict]:
    keys = [(kind, arm, k) for kind in passes.KINDS for arm in arms for k in passes.STEPS[kind]]
    return {key: [[value(*key)] * 3, [value(*key)] * 3] for key in keys}, {key: float(key[2]) for key in keys}


N = {"caption": 3, "detailed": 3}


def test_c3_allows_the_paper_s_loss_and_no_more() -> None:
    shares = {1.0: 3.0, 0.5: 2.97, 0.25: 2.0}  # a hundredth less at half; a third less at a quarter
    scores, made = scores_of(["confidence"], lambda kind, arm, k: shares.get(k / passes.KINDS[kind], 2.5))
    result = passes.report_passes(scores, made, N, 2)
    assert [one.outcome for one in result.checks] == ["yes", "no"] * 2 and result.verdict == "holds in part"
    assert result.checks[0].bound == pytest.approx(-(1 - 114.8 / 117.3) * 3)


def test_c6_holds_if_shift_third_is_ahead_of_each_at_a_quarter() -> None:
    keys = itertools.product(passes.KINDS, passes.SCHEDULES, passes.SHARES)
    scores = {(k, s, int(passes.KINDS[k] * share)): [[2.0 + (s == "shift 1/3")] * 2] * 2 for k, s, share in keys}
    scores |= {(kind, "any", length): [[4.0] * 2] * 2 for kind, length in passes.KINDS.items()}
    result = passes.report_schedules(scores, {}, N, 2)
    assert result.verdict == "holds" and len(result.checks) == 6 and len(result.tables[0].rows) == 8
    scores["caption", "cosine", 4] = [[3.5] * 2] * 2
    assert passes.report_schedules(scores, {}, N, 2).verdict == "holds in part"


def test_c8_counts_passes_for_equal_quality() -> None:
    scores, _ = scores_of(["confidence", "random"], lambda kind, arm, k: 3.0 if arm == "confidence" or k >= 8 else 1.0)
    result = passes.report_orders(scores, N, 2)
    assert [row[2] for row in result.tables[0].rows] == ["1", "8"]  # confidence, random
    assert (
        passes.fewest((8, 4, 2), (3.0, 1.0, 3.0), 2.0) == "8" and passes.fewest((8,), (1.0,), 2.0) == "more than tried"
    )
    assert [one.outcome for one in result.checks] == ["open", "yes", "open", "open"]


def test_c3_and_c8_write_what_both_need_once(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(data=tmp_path, runs=tmp_path, seeds=2, quick=True)
    setting.__dict__["ours"] = model
    monkeypatch.setattr(passes, "draw", lambda data, n, seeds: drawn(1, seeds))
    monkeypatch.setattr(passes, "counts", lambda setting: {"caption": 1})
    monkeypatch.setattr(passes, "KINDS", {"caption": 4})
    monkeypatch.setattr(passes, "STEPS", {"caption": (4, 2)})
    calls = []
    monkeypatch.setattr(Captions, "write", lambda own, o: calls.append(o) or [write(model, p, o) for p in own._prompts])
    first, _ = passes.tried(setting, {"confidence": {}}, passes.STEPS)
    again, _ = passes.tried(setting, {"confidence": {"remasking": "confidence"}}, passes.STEPS)
    assert len(calls) == 2 and first == again
    passes.tried(setting, passes.SCHEDULES, {"caption": (4,)})  # a token a pass is the same by every schedule
    assert len(calls) == 2
    passes.tried(setting, {"random": {"remasking": "random"}}, passes.STEPS)
    assert len(calls) == 4


def test_c4_holds_only_if_it_is_as_fast_as_the_paper_says() -> None:
    large = {"none": [[8.0, 8.0], [9.0, 9.0]], "prefix": [[2.0, 2.0], [2.0, 2.0]]}
    scores = {"none": [[3.0, 3.1]] * 2, "prefix": [[3.0, 3.1]] * 2}
    result = prefix.report(large, scores, [[1.0, 1.0]] * 2, [[1.5]] * 2, 10**6)
    assert result.verdict == "holds" and result.checks[0].mean == pytest.approx(4.25)
    slower = large | {"prefix": [[4.0, 4.0], [4.0, 4.0]]}
    assert prefix.report(slower, scores, [[1.0, 1.0]] * 2, [[1.5]] * 2, 10**6).verdict == "holds in part"


def test_c4_answers_of_the_tiny_model_are_timed_both_ways(model: Model) -> None:
    assert prefix.mini_ratio(SimpleNamespace(ours=model), Image.new("RGB", (64, 64))) > 0


def test_c5_compares_the_same_questions_by_seed() -> None:
    right = {"default": [[1.0] * 4, [1.0, 1.0, 1.0, 0.0]], "independent": [[0.0] * 4, [0.0, 0.0, 0.0, 0.0]]}
    result = masking.report(right, {"default": 5.0, "independent": 5.0}, 0.5, "2 updates of 1 pictures")
    assert result.checks[0].mean == pytest.approx(7 / 8) and result.verdict == "holds"
    right["independent"][1] = [1.0, 1.0, 1.0, 1.0]  # one seed the other way
    assert masking.report(right, {"default": 5.0, "independent": 5.0}, 0.5, "").verdict == "cannot be told here"


def test_c9_pairs_are_different_names_in_one_direction() -> None:
    table = recall.draw_pairs(20, 3)
    names = {tuple(row[:3]) for row in table.tolist()} | {tuple(row[4:7]) for row in table.tolist()}
    assert table.shape == (20, recall.LENGTH) and len(names) == 40
    assert set(table[:, 3].tolist()) == {recall.IS} and set(table[:, -1].tolist()) == {recall.END}
    other = recall.swapped(table)
    assert torch.equal(other[:, :3], table[:, 4:7]) and torch.equal(other[:, 4:7], table[:, :3])
    assert torch.equal(other[:, [3, 7]], table[:, [3, 7]])
    assert torch.equal(table, recall.draw_pairs(20, 3)) and not torch.equal(table, recall.draw_pairs(20, 4))


@pytest.mark.parametrize("objective", recall.OBJECTIVES)
def test_c9_a_network_learns_its_table_forward(objective: str) -> None:
    table = recall.draw_pairs(2, 0)
    net = recall.train(objective, table, recall.Trial(pairs=2, updates=100, rows=4), 0)
    assert sum(recall.recall(net, table, "forward")) == 2
    if objective == "diffusion":  # and in reverse, which the other objective never saw
        assert sum(recall.recall(net, table, "reverse")) == 2
    else:
        assert sum(recall.reverse_by_rank(net, table)) == 2


def test_c9_holds_if_the_autoregressive_network_loses_more() -> None:
    right = {("diffusion", d): [[1.0, 1.0], [1.0, 1.0]] for d in recall.DIRECTIONS}
    right |= {("autoregressive", "forward"): [[1.0, 1.0]] * 2, ("autoregressive", "reverse"): [[0.0, 0.0]] * 2}
    result = recall.report(right, [[0.0, 0.0]] * 2, [[1.0, 1.0]] * 2, recall.Trial(pairs=2, updates=1))
    assert result.verdict == "holds in part" and [one.mean for one in result.checks] == [1, 1, 0]
    right["diffusion", "reverse"] = [[0.0, 0.0]] * 2
    assert (
        recall.report(right, [[0.0, 0.0]] * 2, [[1.0, 1.0]] * 2, recall.Trial(pairs=2, updates=1)).verdict
        == "cannot be told here"
    )


def test_c10_pools_kinds_and_allows_a_margin() -> None:
    right = {("name", "en"): [[1.0] * 4] * 2, ("name", "zh"): [[1.0] * 4] * 2, ("kind", "en"): [[], []],
             ("kind", "zh"): [[], []]}  # fmt: skip
    result = languages.report(right)
    assert result.verdict == "holds" and result.tables[0].rows[-1] == ("all", 8, 1.0, 1.0)
    assert [row[0] for row in result.tables[0].rows] == ["name", "all"]
    right["name", "zh"] = [[0.0, 0.0, 1.0, 1.0]] * 2
    assert languages.report(right).verdict == "does not hold here"


def test_c11_a_dialogue_is_read_whole_until_it_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue, "STEPS", 1)
    course = dialogue.hold(model, Image.new("RGB", (64, 64)), random.Random(0))
    assert course.turns == len(course.whole) > 3 and all(course.whole) and course.first_counts and course.refused
    assert "512" in course.message and course.tokens + dialogue.LENGTH <= 512
    result = dialogue.report([[course], [course]], 512)
    assert result.verdict == "holds"
    cut = course._replace(whole=[False] * course.turns)
    assert dialogue.report([[cut], [cut]], 512).checks[0].outcome == "no"


def test_c11_a_message_that_is_cut_is_seen(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [{"type": "image", "image": Image.new("RGB", (64, 64))}, {"type": "text", "text": "What is this?"}]
    messages = [{"role": "user", "content": shown}, {"role": "assistant", "content": "a cat"},
                {"role": "user", "content": "Is there a dog?"}]  # fmt: skip
    assert dialogue.holds_all(model, messages)
    whole = dialogue.open_prompt

    def cut(reader, turns):
        ids, opened = whole(reader, turns)
        return ids[:-4], opened

    monkeypatch.setattr(dialogue, "open_prompt", cut)
    assert not dialogue.holds_all(model, messages)
