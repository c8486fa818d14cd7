"""Check that the modules which docs/editing.md names exist; tests/test_pages.py runs what it shows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "editing.md").read_text(encoding="utf-8")


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"`(lavida/[a-z0-9_/]+\.py)`", PAGE)
    assert len(named) > 5 and [name for name in named if not (ROOT / name).exists()] == []
