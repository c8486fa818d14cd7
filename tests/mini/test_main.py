"""The command line `python -m mini`: help without PyTorch, and one line for each mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mini.__main__ import main

COMMANDS = (
    "",
    "build",
    "train",
    "calibrate",
    "claims",
    "eval",
    *(f"eval {v}" for v in "scenes poem infill audit extract".split()),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"Usage: python -m mini {command}".rstrip() in capsys.readouterr().out


def test_help_starts_without_pytorch() -> None:
    code = "import sys; from mini.__main__ import main; main(['eval', '--help']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("build nothing", "unknown data set 'nothing'; choose mini or documents"),
        ("train --scenes 0", "'--scenes'"),
        (
            "train --data nowhere --objective none",
            "no labels.json in nowhere: build the data first (python -m mini build)",
        ),
        ("eval nothing", "No such command 'nothing'; see `python -m mini eval --help`"),
        ("eval infill --split v", "unknown split 'v'; choose one of i, ii_style"),
        ("calibrate --data nowhere --again", "build the data first (python -m mini build)"),
        ("eval scenes --language xx", "xx"),
        ("eval extract --data nowhere", "run `python -m mini build documents --out nowhere` first"),
    ],
)
def test_mistakes_are_one_line(
    argv: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(argv.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("mini: ") and err.count("\n") == 1 and words in err, err
    assert out == ""
