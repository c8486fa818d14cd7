"""Batches: rows and their filling, packing, one order for any number of processes, resumption, broken samples."""

from __future__ import annotations

import pickle
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lavida.data.collate import Batch, Example, collate
from lavida.data.encode import Encoder
from lavida.data.loader import TRIES, Loader, _Fetch
from lavida.data.mixture import Ingredient, Mixture
from lavida.data.rules import SampleRule
from lavida.data.sources import open_source
from lavida.errors import ConfigError, DataError
from tests.data.sets import ask, model_of, talk, write_lines
from tests.pictures import gradient

PAD = 99


def example(*answer: int, name: str = "set:0") -> Example:
    """One id for each answer number given."""
    numbers = torch.tensor(answer)
    return Example(
        name=name,
        ids=torch.arange(len(answer)) + 10 * len(answer),
        answer=numbers,
        turn=numbers.clamp(min=1).cummax(0).values - 1,
        frozen=torch.zeros(len(answer), dtype=torch.bool),
        views=[],
        length=len(answer),
    )


def test_filling_is_neither_seen_nor_learnt_unless_it_is_part_of_the_answer() -> None:
    short, long = example(0, 1), example(0, 0, 1, 0, 2)
    batch = collate([short, long], pad_id=PAD)
    assert batch.ids.tolist() == [[20, 21, PAD, PAD, PAD], [50, 51, 52, 53, 54]]
    assert batch.real.tolist() == [[True, True, False, False, False], [True] * 5]
    assert batch.answer.tolist() == [[0, 1, 0, 0, 0], [0, 0, 1, 0, 2]]
    batch = collate([short, long], pad_id=PAD, end_padding=0)
    assert batch.real.all() and batch.answer.tolist() == [[0, 1, 1, 1, 1], [0, 0, 1, 0, 2]]
    assert batch.ids.tolist()[0] == [20, 21, PAD, PAD, PAD] and batch.turn.tolist()[1] == [0, 0, 0, 0, 1]


def test_half_of_the_batches_are_padded_further() -> None:
    widths = [
        collate([example(0, 1)], pad_id=PAD, end_padding=10, rng=random.Random(seed)).ids.shape[1] - 2
        for seed in range(400)
    ]
    assert set(widths) == set(range(11)) and 150 < widths.count(0) < 260
    assert {collate([example(0, 1)], pad_id=PAD, end_padding=10, rng=random.Random(s), longest=5).ids.shape[1]
            for s in range(50)} == {2, 3, 4, 5}  # fmt: skip


def test_packed_rows_hold_several_samples_with_answers_counted_on() -> None:
    examples = [example(*numbers, name=f"set:{i}") for i, numbers in enumerate([(0, 1), (0, 1, 0, 2), (0, 0, 1)])]
    batch = collate(examples, pad_id=PAD, pack=6)
    assert batch.names == ["set:1, set:0", "set:2"] and batch.samples == 3
    assert batch.answer.tolist() == [[0, 1, 0, 2, 0, 3], [0, 0, 1, 0, 0, 0]]
    assert batch.sample.tolist()[0] == [0, 0, 0, 0, 1, 1] and batch.turn.tolist()[0] == [0, 0, 0, 1, 0, 0]
    assert batch.real.sum() == 9


def test_packed_samples_are_padded_one_by_one_and_never_beyond_the_row() -> None:
    for seed in range(30):
        batch = collate([example(0, 1)] * 4, pad_id=PAD, end_padding=3, pack=4, rng=random.Random(seed))
        assert batch.ids.shape[1] <= 4 and int(batch.real.sum()) == int((batch.answer > 0).sum()) + 4
    assert batch.samples == 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 samples of many lengths, every third with a picture; numbers 10 and 40 are broken."""
    folder = tmp_path_factory.mktemp("data")
    records: list[Any] = []
    for i in range(60):
        records.append({"conversations": talk(f"What is {i}?", f"Number {i}{' and on' * (i * 7 % 20)}.")})
        if i % 3 == 0:
            records[-1]["image"] = f"{i}.png"
            gradient(20 + i, 40).save(folder / f"{i}.png")
    records[10], records[40] = "{broken", ask(40, image="missing.png")
    return write_lines(folder / "set.jsonl", records)


def loader(data: Path, **options: Any) -> Loader:
    config, tokenizer = model_of("lavida-llada")
    encode = Encoder(config, tokenizer, options.pop("rule", None))
    mixture = Mixture([Ingredient(source=open_source(data))])
    return Loader(mixture, encode, **{"batch_size": 4, "seed": 3, **options})


def contents(batch: Batch) -> list[Any]:
    """All of a batch as plain values that can be compared."""
    tensors = [value.tolist() for value in vars(batch).values() if isinstance(value, Tensor)]
    shown = [[(float(pixels.sum()), grid) for pixels, grid in row] for row in batch.views]
    return [*tensors, shown, batch.names, batch.number, batch.samples]


def taken(one: Loader, count: int) -> list[list[Any]]:
    return [contents(batch) for batch in islice(one, count)]


def test_two_processes_see_what_one_sees(data: Path) -> None:
    whole = taken(loader(data), 12)
    halves = [taken(loader(data, rank=rank, world=2), 6) for rank in (0, 1)]
    assert [batch for pair in zip(*halves) for batch in pair] == whole
    names = [name for batch in whole for name in batch[-3]]
    double = [batch.names for batch in islice(loader(data, batch_size=8), 6)]
    assert [name for batch in double for name in batch] == names
    assert [contents(b) for b in islice(loader(data, seed=4), 1)] != whole[:1]


def test_workers_change_nothing_and_torch_keeps_its_state(data: Path) -> None:
    before = torch.get_rng_state()
    here, there = loader(data), loader(data, workers=2)
    assert taken(here, 20) == taken(there, 20)
    assert here.skipped == there.skipped != []
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_sent_to_workers_may_be_copied(data: Path) -> None:
    one = loader(data)
    fetch = _Fetch(one.mixture, one.encode, one.seed, None)
    wanted = (0, [one.mixture.draw(n, one.seed) for n in range(4)])
    there = pickle.loads(pickle.dumps(fetch))
    assert contents(there[wanted][0]) == contents(fetch[wanted][0])
    assert there._encode.tokenizer.encode("<|eot_id|>") == one.encode.tokenizer.encode("<|eot_id|>")


@pytest.mark.parametrize("options", [{}, {"grouped": True}, {"pack": 600}], ids=["plain", "grouped", "packed"])
def test_a_loader_goes_on_where_another_stopped(options: dict[str, Any], data: Path) -> None:
    whole = taken(loader(data, **options), 16)
    first = [loader(data, rank=rank, world=2, **options) for rank in (0, 1)]
    for one in first:
        assert len(taken(one, 4)) == 4
    states = [one.state_dict() for one in first]
    assert states[0] == states[1]
    alone = loader(data, **{**options, "seed": 77})
    alone.load_state_dict(pickle.loads(pickle.dumps(states[0])))
    assert taken(alone, 4) == whole[8:12]
    assert taken(alone, 4) == whole[12:]  # and once more, from a new iterator


def test_micro_batches_of_another_size_go_on_too(data: Path) -> None:
    one = loader(data)
    names = [name for batch in islice(one, 4) for name in batch.names]
    other = loader(data, batch_size=8)
    other.load_state_dict(one.state_dict())
    names += [name for batch in islice(other, 2) for name in batch.names]
    assert names == [name for batch in islice(loader(data), 8) for name in batch.names]
    for wrong in (loader(data, batch_size=5), loader(data, batch_size=8, grouped=True)):
        with pytest.raises(DataError, match="saved with micro-batches of 4 samples"):
            wrong.load_state_dict(one.state_dict())


def test_a_loader_refuses_the_state_of_other_data(data: Path, tmp_path: Path) -> None:
    other = loader(write_lines(tmp_path / "other.jsonl", [ask(0)]))
    with pytest.raises(DataError, match="saved with other data .60 of set less 0.* than now .1 of other less 0"):
        other.load_state_dict(loader(data).state_dict())


def test_broken_samples_are_replaced_and_listed_once(data: Path) -> None:
    one = loader(data)
    batches = list(islice(one, 45))  # three epochs
    assert all(len(batch.names) == 4 for batch in batches)
    assert {name for batch in batches for name in batch.names} == {f"set:{i}" for i in range(60) if i not in (10, 40)}
    found = {(skip.source, skip.index): (skip.kind, skip.reason) for skip in one.skipped}
    assert len(one.skipped) == 2 and set(found) == {("set", 10), ("set", 40)}
    assert found["set", 10][0] == "broken entry" and "no valid JSON" in found["set", 10][1]
    assert found["set", 40][0] == "missing file" and "missing.png: no such file" in found["set", 40][1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_source_without_a_good_sample_stops_in_one_line(workers: int, tmp_path: Path) -> None:
    one = loader(write_lines(tmp_path / "bad.jsonl", ["{"] * 9), workers=workers)
    with pytest.raises(DataError, match=f"^bad: {TRIES} samples in a row cannot be used.*see `lavida data check`$"):
        next(iter(one))
    assert len(one.skipped) == 9


def test_samples_of_like_length_come_together(data: Path) -> None:
    def waste(batches: list[Batch]) -> float:
        return 1 - sum(int(batch.real.sum()) for batch in batches) / sum(batch.ids.numel() for batch in batches)

    rule = SampleRule(end_padding=None)
    plain, grouped = (list(islice(loader(data, rule=rule, grouped=g), 30)) for g in (False, True))
    assert waste(grouped) < waste(plain) / 2
    good = {f"set:{i}" for i in range(60) if i not in (10, 40)}
    for epoch in (grouped[:15], grouped[15:]):
        assert {name for batch in epoch for name in batch.names} == good
    widths = [batch.ids.shape[1] for batch in grouped]
    assert widths != sorted(widths)


def test_a_batch_moves_with_its_pictures(data: Path) -> None:
    batch = next(iter(loader(data))).to("meta")
    assert batch.ids.device.type == batch.real.device.type == "meta"
    assert all(pixels.device.type == "meta" for row in batch.views for pixels, _ in row)


def test_options_that_make_no_sense_are_refused(data: Path) -> None:
    for wrong, words in (
        ({"batch_size": 0}, "at least 1 sample"),
        ({"workers": -1}, "0 workers"),
        ({"rank": 2, "world": 2}, "rank 2 is not one of 2"),
        ({"pack": 100}, "must hold the longest sample"),
    ):
        with pytest.raises(ConfigError, match=words):
            loader(data, **wrong)
