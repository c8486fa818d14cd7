"""`describe` and `ask` over a tiny random model: what is printed, and what a bad picture does."""

from __future__ import annotations

import io
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lavida import api
from lavida.checkpoint import named
from lavida.cli.main import main
from lavida.decode.driver import Driver
from tests.pictures import BAD, gradient
from tests.tiny import tiny_model

FEW = ["--length", "4", "--steps", "2", "--model", "tiny"]


@pytest.fixture(scope="module")
def model() -> api.Model:
    return tiny_model()


@pytest.fixture(autouse=True)
def _tiny(model: api.Model, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load", lambda *args, **kwargs: model)
    monkeypatch.setattr(api, "find_model", lambda path: tiny_folder)
    monkeypatch.setattr(named, "find_model", lambda path: tiny_folder)  # read by those who import it when called


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):
    def feed(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return feed


def run(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(argv)
    return (code, *capsys.readouterr())


def records(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("verb", ["describe", "ask"])
def test_every_bad_picture_is_one_line(
    verb: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[name]
    make(tmp_path / name)
    question = ["What is this?"] if verb == "ask" else []
    code, out, err = run([verb, str(tmp_path / name), *question, *FEW], capsys)
    assert code == 2 and out == ""
    assert err.startswith(f"lavida: {tmp_path / name}: ") and err.count("\n") == 1
    assert any(part in err for part in words.split("|"))


def test_one_bad_picture_does_not_stop_the_others(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(["describe", "no.png", str(photo), str(tmp_path), str(photo), "--json", *FEW], capsys)
    assert code == 2 and err.count("\n") == 2
    assert [r["image"] for r in records(out)] == [str(photo)] * 2


def test_several_pictures_share_passes_and_answer_as_each_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{k}.png" for k in range(10)]
    for k, file in enumerate(files):
        gradient(40 + k, 60 - k).save(file)
    alone = [records(run(["describe", str(file), "--json", *FEW], capsys)[1])[0] for file in files]
    shared: list[int] = []
    forward = Driver._forward
    monkeypatch.setattr(Driver, "_forward", lambda self, some: (shared.append(len(some)), forward(self, some))[1])
    code, out, _ = run(["describe", *map(str, files), "--json", *FEW], capsys)
    assert code == 0 and max(shared) > 1
    assert [r | {"seconds": 0} for r in records(out)] == [r | {"seconds": 0} for r in alone]
    shared.clear()
    run(["describe", *map(str, files), "--time", *FEW], capsys)
    assert max(shared) == 1  # each is timed by itself


def test_json_is_one_object_a_line(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["ask", str(photo), "What is this?", "--json", *FEW], capsys)
    (record,) = records(out)
    assert code == 0 and err == ""
    assert list(record) == ["image", "prompt", "text", "steps", "seconds", "tokens_per_forward"]
    assert record["image"] == str(photo) and record["prompt"] == "What is this?"
    assert 1 <= record["steps"] <= 2 and record["seconds"] > 0 and 0 < record["tokens_per_forward"] <= 4


def test_options_of_sampling_reach_the_answer(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = ["ask", str(photo), "What?", "--json", "--model", "tiny", "--length", "8"]
    noisy = ["--temperature", "3", "--seed", "5"]

    def text(*options: str) -> str:
        code, out, err = run([*many, *options], capsys)
        assert code == 0 and err == ""
        return records(out)[0]["text"]

    assert text(*noisy, "--top-k", "1") == text(*noisy, "--top-p", "1e-9") == text() != text(*noisy)
    assert text("--guidance", "3") != text()
    assert records(run([*many, "--threshold", "1e-9"], capsys)[1])[0]["steps"] == 1


def test_plain_text_names_the_picture_only_among_several(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, one, _ = run(["describe", str(photo), *FEW], capsys)
    _, two, _ = run(["describe", str(photo), str(photo), *FEW], capsys)
    assert not one.startswith(str(photo)) and two.splitlines()[0] == f"{photo}: {one.rstrip()}".rstrip()


def test_a_file_alone_is_described(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(photo), "--json", *FEW], capsys)[0] == 0


def test_folder_pattern_and_list(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stdin) -> None:
    for name in ("a.png", "b.png"):
        gradient().save(tmp_path / name)
    expected = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    for arg in (str(tmp_path), str(tmp_path / "*.png")):
        assert [r["image"] for r in records(run(["describe", arg, "--json", *FEW], capsys)[1])] == expected
    stdin("\n".join(expected).encode())
    assert [r["image"] for r in records(run(["describe", "-", "--json", *FEW], capsys)[1])] == expected


def test_picture_and_question_on_standard_input(photo: Path, capsys: pytest.CaptureFixture[str], stdin) -> None:
    for argv in (["describe", "-"], ["ask", "-", "What?"], ["ask", "What?"], ["-"]):
        stdin(photo.read_bytes())
        code, out, _ = run([*argv, "--json", *FEW], capsys)
        assert code == 0 and records(out)[0]["image"] == "-"
    stdin(b"What is\nthis?\n")
    assert records(run(["ask", str(photo), "-", "--json", *FEW], capsys)[1])[0]["prompt"] == "What is\nthis?"


def test_show_prints_plain_lines_without_a_terminal(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["ask", str(photo), "What?", "--show", "--length", "4", "--time"], capsys)
    lines = out.splitlines()
    assert code == 0 and lines[0] == f"{photo}: What?" and lines[1].startswith("   1  ")
    assert "\u2592" in lines[1] and "\u2592" not in lines[-2]
    assert "model loaded in" in err and "answered in" in err
    _, out, err = run(["describe", str(photo), "--show", "--json", *FEW], capsys)
    assert records(out) and "\u2592" in err


def test_show_draws_in_a_terminal(photo: Path, model: api.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from lavida.cli.show import show

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    drafts = list(show(model.stream(photo, "What?", length=4), title="photo [bold]: What?", file=terminal))
    assert len(drafts) >= 1 and "\x1b[" in terminal.getvalue() and "photo [bold]: What?" in terminal.getvalue()


def test_record_writes_a_well_formed_animation(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.svg"
    assert run(["ask", str(photo), "a < b & c?", "--record", str(path), *FEW], capsys)[0] == 0
    root = ElementTree.parse(path).getroot()
    assert root.tag.endswith("svg") and root.find("{*}title").text == "a < b & c?"
    code, _, err = run(["describe", str(photo), "--record", "/nowhere/a.svg", *FEW], capsys)
    assert code == 2 and err.count("\n") == 1 and "cannot write /nowhere/a.svg" in err
    code, _, err = run(["describe", str(photo), str(photo), "--record", str(path), *FEW], capsys)
    assert code == 2 and "--record takes one picture, got 2" in err


def test_one_question_about_all_pictures_together(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(["ask", str(photo), str(photo), "What differs?", "--together", "--json", *FEW], capsys)
    assert code == 0 and [r["image"] for r in records(out)] == [f"{photo}, {photo}"]
    code, out, err = run(["ask", str(photo), "no.png", "What differs?", "--together", *FEW], capsys)
    assert code == 2 and out == "" and "no.png: no such file" in err
    record = ["--record", str(tmp_path / "a.svg")]
    code, _, err = run(["ask", str(photo), str(photo), "What?", "--together", *record, *FEW], capsys)
    assert code == 2 and "--record shows one picture" in err


def test_a_video_is_one_more_thing_to_ask_about(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["describe", "--video", "no.mp4", *FEW], capsys)
    assert code == 2 and out == "" and err.count("\n") == 1 and "was not taught on videos" in err
    code, out, err = run(["ask", str(photo), "What?", "--frames", "4", *FEW], capsys)
    assert code == 2 and "--frames goes with --video" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_disk_space(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(["describe", str(photo), "--record", "/dev/full", *FEW], capsys)
    assert code == 2 and err.count("\n") == 1 and "No space left on device" in err
