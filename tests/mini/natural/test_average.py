"""Averages of weights: the mean of each tensor, and nothing of models that are not alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lavida.errors import CheckpointError
from mini.natural.average import average, main


def model(path: Path, value: float, *, words: str = "{}", rows: int = 2) -> Path:
    path.mkdir()
    save_file(
        {"a": torch.full((rows,), value, dtype=torch.bfloat16), "n": torch.tensor([3])},
        path / "model.safetensors",
        metadata={"format": "pt"},
    )
    (path / "tokenizer.json").write_text(words)
    (path / "names.json").write_text("{}")
    (path / "confidence.json").write_text("{}")
    return path


def test_weights_are_averaged_and_everything_else_is_the_last_ones(tmp_path: Path) -> None:
    average([model(tmp_path / "x", 1.0), model(tmp_path / "y", 2.0)], tmp_path / "out")
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert found["a"].tolist() == [1.5, 1.5] and found["a"].dtype == torch.bfloat16 and found["n"].tolist() == [3]
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "{}"
    assert not (tmp_path / "out" / "confidence.json").exists()


def test_models_that_are_not_alike_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = model(tmp_path / "x", 1.0)
    with pytest.raises(CheckpointError, match="other tensors"):
        average([model(tmp_path / "rows", 1.0, rows=3), first], tmp_path / "out")
    with pytest.raises(CheckpointError, match="tokenizer"):
        average([model(tmp_path / "words", 1.0, words="[]"), first], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit) as stopped:
        main([str(first), str(first), str(first)])
    assert stopped.value.code == 2 and "there already" in capsys.readouterr().err
