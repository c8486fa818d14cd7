"""Check that what docs/serving.md shows can be typed: options exist, and the Python talks to a server."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lavida.cli.main import main
from lavida.serve.protocol import ChatRequest
from tests.serve.servers import serving

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = sorted({line for _, block in BLOCKS for line in block.splitlines() if line.startswith("lavida serve")})


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    known = capsys.readouterr().out
    words = shlex.split(line, comments=True)
    assert [word for word in words if word.startswith("--") and f"{word} " not in known] == []


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


def test_the_python_is_answered(tiny_folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = next(block for kind, block in BLOCKS if kind == "python")
    with serving("--model", str(tiny_folder)) as server:
        for old, new in (
            ("http://127.0.0.1:8000/", server.url),
            ("photo.jpg", str(photo)),
            ("image/jpeg", "image/png"),
            ("lavida-mini", tiny_folder.name),
        ):
            assert old in code
            code = code.replace(old, new)
        exec(code, {})
    assert "image_tokens" in capsys.readouterr().out
