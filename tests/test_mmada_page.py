"""Options that docs/mmada.md names exist; its commands and its Python are run by tests/test_pages.py."""

from __future__ import annotations

import re
from pathlib import Path

from lavida.draw.options import OPTIONS

PAGE = (Path(__file__).parent.parent / "docs" / "mmada.md").read_text(encoding="utf-8")


def test_options_in_the_text_exist() -> None:
    named = {name.removeprefix("--") for name in re.findall(r"`(--[a-z]+)", PAGE)}
    others = {"image", "mask", "vq", "side", "model", "template"}
    assert named and named <= set(OPTIONS) | others
