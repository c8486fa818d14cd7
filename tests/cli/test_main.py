"""The verb table, exit codes and the one line that each mistake gets."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lavida.cli import main as cli
from lavida.cli.main import VERBS, main

ROOT = Path(__file__).parents[2]


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; its one line."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert err.startswith("lavida: ") and err.count("\n") == 1, err
    assert out == ""
    return err


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["--help"], ["-h"], ["help"]):
        assert main(argv) == 0
        out = capsys.readouterr().out
        assert all(verb in out and what in out for verb, (_, what) in VERBS.items())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_starts_without_pytorch(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*verb.split(), "--help"]
    assert main(argv) == 0
    assert f"lavida {verb}" in capsys.readouterr().out
    code = f"import sys; from lavida.cli.main import main; main({argv}); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert f"`lavida {verb}" in importlib.import_module(VERBS[verb][0]).__doc__


def test_importing_the_command_line_imports_no_pytorch() -> None:
    code = "import sys, lavida.cli.main; sys.exit(any(m in sys.modules for m in ('torch', 'rich', 'numpy', 'PIL')))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lavida ")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nonsense"], "unknown command 'nonsense' and no such file; choose one of describe, ask"),
        (["--nonsense"], "unknown option --nonsense"),
        (["describe"], "Missing argument 'IMAGE...'; see `lavida describe --help`"),
        (["describe", "a.png", "--stepps", "3"], "No such option: --stepps"),
        (["describe", "a.png", "--steps", "many"], "--steps"),
        (["describe", "a.png", "--steps", "0"], "steps must be at least 1, got 0"),
        (["describe", "a.png", "--steps", "1000"], "steps must be 1 to length (16), got 1000"),
        (["describe", "a.png", "--length", "0"], "length must be 1 to"),
        (["describe", "a.png", "--schedule", "quadratic"], "unknown schedule 'quadratic'; choose one of"),
        (["describe", "a.png", "--remasking", "luck"], "unknown remasking 'luck'"),
        (["describe", "a.png", "--cache", "disk"], "unknown cache 'disk'"),
        (["describe", "a.png", "--threshold", "2"], "threshold must be above 0 and at most 1, got 2.0"),
        (["describe", "a.png", "--threshold", ".9", "--remasking", "entropy"], "a threshold compares probabilities"),
        (["describe", "a.png", "--top-p", ".9"], "top_p and top_k change nothing at temperature 0"),
        (["describe", "a.png", "--top-k", "0", "--temperature", "1"], "top_k must be at least 1, got 0"),
        (["ask", "a.png", "What?", "--guidance", "-1"], "guidance must be 0 to 10, got -1.0"),
        (["describe", "a.png", "--seed", str(2**64)], "a seed has at most 64 bits"),
        (["describe", "a.png", "--model", "nowhere"], "unknown model 'nowhere'"),
        (["ask", __file__], "no question for"),
        (["ask", "-"], "no question for -"),
        (["ask", "a.png", "  "], "the question is empty"),
        (["ask", "-", "-"], "standard input cannot be both"),
    ],
)
def test_mistakes_are_one_line(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(argv, capsys)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device", "cache.bin"), 2, "cache.bin: No space left on device; free some space"),
    ],
)
def test_interrupts_and_full_disks(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(args: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert main(["describe", "a.png"]) == code
    assert words in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "lavida.cli.main", "--help"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.returncode == 141 and done.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output(unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lavida.cli.main", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 2 and done.stderr.startswith("lavida: No space left") and done.stderr.count("\n") == 1


def test_a_loaded_model_leaves_the_garbage_collector_as_it_was() -> None:
    photo = str(ROOT / "lavida" / "assets" / "demo.jpg")
    code = (
        "import gc, sys; usual = gc.get_threshold(); from lavida.cli.main import main; "
        f"main(['ask', {photo!r}, 'What is this?', '--steps', '1']); sys.exit(gc.get_threshold() != usual)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
