"""Check that options and fields which docs/serving.md names exist; tests/test_pages.py runs what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lavida.cli.main import main
from lavida.serve.protocol import ChatRequest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_options_that_the_text_names_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    known = capsys.readouterr().out
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert len(named) > 3 and [name for name in sorted(named) if f"{name} " not in known] == []


def test_fields_of_the_table_exist() -> None:
    table = PAGE.split("## What a request may hold")[1].split("Everything else")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {name.partition(".")[0] for row in rows for name in re.findall(r"`([a-z_.]+)`", row)} - {"image_url"}
    assert len(named) > 15 and named <= set(ChatRequest.model_fields)
