"""What docs/editing.md shows can be typed: commands and options exist, Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import lavida
from lavida.cli.main import VERBS, main

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "editing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
LINES = [line.removeprefix("$ ") for _, block in BLOCKS for line in block.splitlines()]
COMMANDS = sorted({line for line in LINES if line.startswith("lavida ")})


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line, comments=True)[1:]
    verb = next(v for v in (" ".join(words[:2]), words[0]) if v in VERBS)
    assert main([*verb.split(), "--help"]) == 0
    known = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and f"{word} " not in known] == []


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"`(lavida/[a-z0-9_/]+\.py)`", PAGE)
    assert len(named) > 5 and [name for name in named if not (ROOT / name).exists()] == []


def test_python_runs(photo: Path, tiny_folder: Path) -> None:
    (block,) = [block for kind, block in BLOCKS if kind == "python"]
    names: dict = {"model": lavida.load(tiny_folder)}
    exec(block.replace("photo.jpg", str(photo)), names)
    assert names["found"].text.startswith("a photo of ") and len(names["found"].holes) == 2
