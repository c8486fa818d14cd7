"""`--model` takes a checkpoint of any family, whose defaults it then follows."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from lavida.checkpoint.make_random import make_random
from lavida.cli.main import main
from tests.image.test_video import write_video

FEW = ["--length", "4", "--steps", "2", "--json"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    for kind in ("llada-v", "dream"):
        make_random(kind, "tiny", root / kind)
    return {kind: str(root / kind) for kind in ("llada-v", "dream")}


def test_a_text_model_needs_no_picture_and_takes_none(
    folders: dict[str, str], photo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["ask", "Who are you?", "--model", folders["dream"], *FEW]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["image"] == "" and record["prompt"] == "Who are you?" and record["steps"] <= 2
    assert main(["ask", str(photo), "What?", "--model", folders["dream"], *FEW]) == 2
    assert "reads text only" in capsys.readouterr().err


def test_a_question_longer_than_a_file_name_is_a_question(
    folders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    question = "Why? " * 60 + "Tell me."
    model = ["--model", folders["dream"]]
    assert main(["ask", question, *model, *FEW]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == question
    assert main(["choose", question, "Yes.", "No.", *model, "--rounds", "2"]) == 0
    assert main([question]) == 2 and "unknown command" in capsys.readouterr().err


def test_a_picture_and_a_video(
    folders: dict[str, str], photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = str(write_video(tmp_path / "a.mp4", 6))
    model = ["--model", folders["llada-v"], "--dtype", "float32", *FEW]
    assert main(["ask", str(photo), "What?", *model]) == 0
    assert main(["describe", "--video", film, "--frames", "2", *model]) == 0
    assert main(["ask", str(photo), "Is it in this?", "--video", film, "--together", *model]) == 0
    names = [json.loads(line)["image"] for line in capsys.readouterr().out.splitlines()]
    assert names == [str(photo), film, f"{photo}, {film}"]


def test_options_are_held_against_the_defaults_of_the_family(
    folders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    dream = ["ask", "Who are you?", "--model", folders["dream"], "--length", "4"]
    assert main([*dream, "--top-p", "0.9"]) == 0  # Dream's certainty is that of the tokens left
    assert main(["ask", "no.png", "What?", "--model", folders["llada-v"], "--steps", "128"]) == 2
    assert "no such file" in capsys.readouterr().err  # 128 steps fill its canvas
    assert main(["ask", "no.png", "What?", "--model", folders["llada-v"], "--steps", "129"]) == 2
    assert "steps must be 1 to length (128), got 129" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dtype", "int3"], "unknown dtype 'int3'"),
        (["--device", "warp"], "cannot use device 'warp'"),
        (["--quantize", "int1"], "int1"),
        (["--template", "alpaca"], "unknown template 'alpaca'"),
        (["--compat", "1.0"], "unknown compat '1.0'"),
    ],
)
def test_mistakes_of_loading_are_one_line(
    options: list[str], words: str, folders: dict[str, str], photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(photo), "What?", "--model", folders["llada-v"], *options, *FEW]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err
