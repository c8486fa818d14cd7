"""`lavida choose`: probabilities of given answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lavida
from lavida.cli.main import main


def test_answers_are_ranked_and_told_as_json(
    photo: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["choose", str(photo), "What is this?", "a cat", "one red ball", "--model", str(tiny_folder)]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main([*argv, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    choice = lavida.load(tiny_folder).choose(photo, "What is this?", ["a cat", "one red ball"])
    assert tuple(one["probability"] for one in facts["answers"]) == choice.probabilities
    assert facts["best"] == facts["answers"][choice.best]["text"] and facts["image"] == str(photo)
    p = max(choice.probabilities)
    assert lines[0] == f"{p:.3f} ± {choice.errors[0]:.3f}  {facts['best']}" and len(lines) == 2


def test_a_text_model_takes_no_picture(random_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["choose", "Who are you?", "a cat", "a dog", "--model", str(random_folders["dream"])]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["choose", __file__, "Who?", "a cat", "a dog", "--model", str(random_folders["dream"])]) == 2
    assert "the model reads text only; leave" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["What is this?"], "nothing to choose from; say lavida choose photo.jpg"),
        (["PHOTO", "What?", "a cat"], "nothing to choose from"),
        (["no.png", "What?", "a", "b"], "no.png: no such file"),
        (["PHOTO", " ", "a", "b"], "the question is empty"),
        (["PHOTO", "What?", "a", ""], "an answer is empty"),
        (["PHOTO", "What?", "a", "b", "--estimator", "triples"], "unknown estimator 'triples'"),
        (["PHOTO", "What?", "a", "b", "--rounds", "1"], "rounds must be at least 2"),
        (["PHOTO", "What?", "a", "b", "--seed", str(2**64)], "a seed has at most 64 bits"),
        (["PHOTO", "What?", "a", "b", "--threads", "100000"], "threads must be at least 1 and at most 1024"),
        (["PHOTO", "What?", "a", "b", "--cache", "dual"], "the cache of a likelihood is prefix or none, got 'dual'"),
        (["PHOTO", "What?", "a", "b" * 900], "prompt and answer take"),
        (["PHOTO", "What?", "a", "b", "--quantize", "int2"], "unknown quantize 'int2'"),
        (["PHOTO", "What?", "a", "b", "--model", "nowhere"], "unknown model 'nowhere'"),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str], words: str, photo: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(photo) if word == "PHOTO" else word for word in argv]
    assert main(["choose", "--model", str(tiny_folder), *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("lavida: ") and err.count("\n") == 1 and words in err
