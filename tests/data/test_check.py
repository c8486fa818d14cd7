"""`lavida data check`: every broken entry is named, and what is good is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lavida.cli.main import main
from tests.data.sets import ask, talk, write_lines
from tests.pictures import gradient


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 samples, two of each fault among them."""
    folder = tmp_path_factory.mktemp("data")
    gradient(60, 40).save(folder / "good.png")
    (folder / "bad.png").write_bytes((folder / "good.png").read_bytes()[:70])
    records: list[Any] = [
        {"image": "good.png", "conversations": talk(f"{i}?", "Yes.", "Sure?", "No.")} for i in range(40)
    ]
    for i in (3, 30):
        records[i] = "{broken"
        records[i + 1] = ask(i, image="missing.png")
        records[i + 2] = ask(i, image="bad.png")
        records[i + 3] = {"conversations": talk("What?", " ")}
        records[i + 4] = {"conversations": talk("What?", "word " * 600)}
    records[0] = ask(0)
    return write_lines(folder / "photos.jsonl", records)


KINDS = {"broken entry": 2, "missing file": 2, "broken picture": 2, "empty answer": 2, "too long": 2}


def check(data: Path, tiny_folder: Path, *more: str) -> int:
    return main(["data", "check", str(data), "--model", str(tiny_folder), *more])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_every_broken_entry_is_named(
    workers: str, data: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(data, tiny_folder, "--json", "--workers", workers) == 2
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert (facts["source"], facts["samples"], facts["usable"], facts["answers"]) == ("photos", 40, 30, 59)
    assert facts["broken_by_kind"] == KINDS and facts["samples_by_pictures"] == {"0": 1, "1": 29}
    assert [one["index"] for one in facts["broken"]] == [*range(3, 8), *range(30, 35)]
    assert [one["kind"] for one in facts["broken"][:5]] == list(KINDS)
    assert facts["tokens"]["longest"] <= facts["max_length"] == 512
    assert err == "lavida: 10 of 40 samples cannot be used; training skips them\n"


def test_a_reader_sees_it_at_a_glance(data: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(data, tiny_folder) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "photos: 40 samples, 30 of them usable" and "missing file: 2" in lines
    assert "pictures  1 with 0, 29 with 1" in lines and "at most 512 are taken" in lines[1]
    assert [line.split()[0] for line in lines if line.startswith("  photos:")][:2] == ["photos:3", "photos:4"]
    assert f"photos:4  {data.parent / 'missing.png'}: no such file" in "\n".join(lines)


def test_a_good_set_ends_with_0_and_a_long_list_is_cut(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_lines(tmp_path / "good.jsonl", [ask(i) for i in range(3)])
    assert check(good, tiny_folder) == 0
    assert "good: 3 samples, 3 of them usable" in capsys.readouterr().out
    assert check(good, tiny_folder, "--max-length", "1") == 2
    assert "tokens, and at most 1 are taken" in capsys.readouterr().out
    bad = write_lines(tmp_path / "bad.jsonl", ["{"] * 25)
    assert check(bad, tiny_folder) == 2
    out = capsys.readouterr().out
    assert out.count("bad:") == 21 and out.endswith("and 5 more; --json lists all\n")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["missing.json"], "missing.json: no such file"),
        ([], "Missing argument 'FILE'"),
        (["x.json", "--workers", "-1"], "--workers must be 0 or more"),
        (["x.json", "--max-length", "0"], "--max-length 1 or more"),
        (["x.json", "--rule", "y"], "No such option: --rule"),
    ],
)
def test_mistakes_are_one_line(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", *argv]) == 2
    out, err = capsys.readouterr()
    assert words in err and err.count("\n") == 1 and out == ""
