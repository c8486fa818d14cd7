"""Run the commands and the Python of docs/mmada.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from lavida.cli.main import main
from lavida.draw.options import OPTIONS
from tests.pictures import gradient

PAGE = (Path(__file__).parent.parent / "docs" / "mmada.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL))


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "house.jpg"):
        gradient(90, 60).save(name)
    mask = Image.new("L", (90, 60), 0)
    mask.paste(255, (30, 20, 60, 60))
    mask.save("mask.png")
    for line in BLOCKS["sh"].splitlines():
        program, *args = shlex.split(line, comments=True)
        if "house.png" in args:
            args += ["--size", "256"]  # a fourth of the work
        assert program == "lavida" and main(args) == 0, line
    assert {f"buses-{i}.png" for i in range(1, 5)} | {"bus.png", "house.png"} <= {p.name for p in tmp_path.iterdir()}
    (tmp_path / "bus.png").unlink()
    exec(BLOCKS["python"], {})
    assert Image.open("bus.png").size == (256, 256)


def test_options_in_the_text_exist() -> None:
    named = {name.removeprefix("--") for name in re.findall(r"`(--[a-z]+)", PAGE)}
    others = {"image", "mask", "vq", "side", "model", "template"}
    assert named and named <= set(OPTIONS) | others
