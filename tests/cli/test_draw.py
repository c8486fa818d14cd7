"""`lavida draw`, and what else a random MMaDA does at the terminal, offline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

import lavida
from lavida.cli.draw import blocks
from lavida.cli.main import main
from lavida.draw.options import DrawOptions

FEW = ["--size", "64", "--steps", "3"]


@pytest.fixture(scope="module")
def folder(random_folders: dict[str, Path]) -> str:
    return str(random_folders["mmada"])


def test_inspect(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", folder]) == 0
    assert "64 codes, ids 281 to 344, read and written; the image tokenizer is in vq" in capsys.readouterr().out


def test_ask_about_a_picture_and_about_nothing(folder: str, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--model", folder, "--length", "6", "--json"]
    for words in ([str(photo), "What is this?"], ["Hello"]):
        for template in ([], ["--template", "mmada-think"]):
            assert main(["ask", *words, *few, *template]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["steps"] for line in lines] == [6] * 4
    assert lines[0]["image"] == str(photo) and lines[2]["image"] == ""


def test_draw(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bus.png"
    assert main(["draw", "a red bus", "--model", folder, "--out", str(out), "--size", "256", "--steps", "3"]) == 0
    assert capsys.readouterr().out.strip() == str(out) and Image.open(out).size == (256, 256)


def test_draw_several_with_figures(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bus.png"
    assert main(["draw", "a bus", "--model", folder, "--out", str(out), "--count", "2", "--json", "--time", *FEW]) == 0
    printed = capsys.readouterr()
    facts = [json.loads(line) for line in printed.out.splitlines()]
    assert [Path(f["file"]).name for f in facts] == ["bus-1.png", "bus-2.png"] and [f["seed"] for f in facts] == [0, 1]
    assert all(Path(f["file"]).is_file() and len(f["codes"]) == 16 for f in facts)
    assert printed.err.count("drawn in") == 2


def test_watch_a_picture_appear(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bus.png"
    assert main(["draw", "a bus", "--model", folder, "--out", str(out), "--show", *FEW]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.fullmatch(r" +\d+  (\d+) of 16 codes", line)[1] for line in lines[:3]] == ["3", "9", "16"]


def test_a_sketch_in_colour(folder: str) -> None:
    request = lavida.load(folder).draw_request("a bus", options=DrawOptions(size=64, steps=2))
    text = blocks(next(request.sketches()))
    console = Console(record=True, width=20, color_system="truecolor", force_terminal=True, file=open("/dev/null", "w"))
    console.print(text)
    assert text.plain == ("\u2580" * 4 + "\n") * 2
    assert "rgb(127,127,127)" in {part for span in text.spans for part in str(span.style).split()}


def test_redraw_a_part(folder: str, photo: Path, tmp_path: Path) -> None:
    mask = Image.new("L", (90, 60), 0)
    mask.paste(255, (30, 0, 60, 60))
    mask.save(tmp_path / "mask.png")
    given = ["--image", str(photo), "--mask", str(tmp_path / "mask.png")]
    assert main(["draw", "a bus", "--model", folder, "--out", str(tmp_path / "x.jpg"), *given, *FEW]) == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--out", "x.gif"], "its name must end in .png"),
        (["--out", "nowhere/x.png"], "there is no folder nowhere"),
        (["--image", "x.png"], "give both --image and --mask"),
        (["--size", "0"], "size must be pixels"),
        (["--steps", "0"], "steps must be 1 to 4096"),
        (["--vq", "nowhere"], "no folder nowhere"),
        (["--model", "lavida-mini"], "lavida-mini writes text only"),
        (["--compat", "oficial"], "unknown compat"),
    ],
)
def test_mistakes(
    folder: str, tmp_path: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", folder, "--out", str(tmp_path / "x.png"), *FEW]
    assert main(["draw", "a bus", *given, *args]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
