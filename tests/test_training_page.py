"""Check docs/training.md: options exist, entries are read, recipes differ; tests/test_pages.py runs its commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lavida.cli.main import main
from lavida.data.samples import read_sample
from lavida.train.recipes import RECIPES

PAGE = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_options_named_in_the_text_exist(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "tune", "--help"])
    known = capsys.readouterr().out
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert len(named) > 8 and [option for option in sorted(named) if f"{option} " not in known] == []


def test_every_recipe_has_a_row() -> None:
    rows = re.findall(r"^\| (`[^|]*)\|", PAGE, flags=re.MULTILINE)
    named = {name if name[0] != "-" else f"llada-v{name}" for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert set(RECIPES) | {"mini"} <= named


def test_entries_are_read() -> None:
    entries = [json.loads(line) for kind, block in BLOCKS if kind == "json" for line in block.splitlines()]
    samples = [read_sample(entry, "page:0", Path) for entry in entries]
    assert [len(sample.turns) for sample in samples] == [2, 2, 4]


def test_python_runs() -> None:
    (block,) = [block for kind, block in BLOCKS if kind == "python"]
    names: dict = {}
    exec(block, names)
    assert not names["plain"].objective.complementary and names["bound"].objective.weighting == "1/t"
    assert names["prefix"].objective.attention == "prefix"
