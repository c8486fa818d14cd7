"""`lavida serve` as a command: what it says when it cannot serve."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lavida.cli import serve
from lavida.cli.main import main

ROOT = Path(__file__).parents[2]


def test_a_port_in_use_is_told_in_one_line(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--model", str(tiny_folder), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"port {port}" in said and "--port" in said


@pytest.mark.parametrize("arguments", [["--host", "no.such.host.invalid"], ["--port", "99999"], ["--model", "nowhere"]])
def test_what_cannot_be_served_is_told_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and arguments[1] in said


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert main(["serve"]) == 2
    assert "needs lavida[serve] (uvicorn is missing)" in capsys.readouterr().err


def test_help_imports_no_server() -> None:
    code = (
        "import sys; from lavida.cli.main import main; main(['serve', '--help']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'fastapi', 'uvicorn', 'pydantic')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--beside" in done.stdout and "--api-key" in done.stdout


def test_models_are_called_by_the_last_part_of_their_path(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: dict[str, Any] = {}

    def run(models: Any, settings: Any, sock: Any, *, started: Any) -> int:
        served.update(models=models, settings=settings)
        started()
        return 0

    monkeypatch.setattr("lavida.serve.run.serve", run)
    monkeypatch.setenv(serve.KEYS, "a, b")
    folder = str(tiny_folder)
    assert main(["serve", "--model", folder, "--beside", folder, "--port", "0", "--api-key", "c", "--memory", "1"]) == 0
    assert list(served["models"]) == [tiny_folder.name, f"{tiny_folder.name}-2"]
    assert [model.name for model in served["models"].values()] == list(served["models"])
    assert served["settings"].api_keys == ("c", "a", "b") and served["settings"].memory == 10**9
    assert served["settings"].host == "127.0.0.1"
    printed = capsys.readouterr()
    assert "http://127.0.0.1:" in printed.out and str(tiny_folder.parent) not in printed.out and printed.err == ""
