"""What TensorBoard reads from a run's folder, and the one line without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lavida.errors import RequestError
from lavida.train.log import TensorBoard


def test_numbers_and_captions_are_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs lavida[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path)
    for at in (10, 20, 30):
        board.write("step", at, stage="align", loss=1 / at, lr={"tower": 0.5}, buckets=[None, at])
    told = {"image": "cat.png", "prompt": "What?", "truth": "a cat", "answer": "a dog"}
    board.write("eval", 30, loss=0.25, captions=[told])
    resumed = TensorBoard(tmp_path, since=20)  # the run was killed after step 30, its checkpoint is of step 20
    resumed.write("step", 30, loss=7.0)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [(e.step, round(e.value, 4)) for e in read.Scalars("step/loss")] == [(10, 0.1), (20, 0.05), (30, 7.0)]
    assert [e.value for e in read.Scalars("step/buckets/1")][:2] == [10.0, 20.0]
    assert [len(read.Scalars(tag)) for tag in ("step/lr/tower", "eval/loss")] == [2, 0]


def test_without_tensorboard_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RequestError, match=r"pip install 'lavida\[tensorboard\]'"):
        TensorBoard(tmp_path)
