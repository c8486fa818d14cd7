"""`lavida fill`, `lavida revise`, `lavida audit`: texts that are there already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lavida
from lavida.cli.heat import heat, page
from lavida.cli.main import main
from lavida.edit.audit import Audit, Token, Word
from tests.fakes import tiny_config
from tests.pictures import gradient
from tests.tiny import tiny_net, tiny_tokenizer


def _told(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 0
    return capsys.readouterr().out


def test_fill_tells_the_text_and_its_holes(photo: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["fill", str(photo), "one [M:1] on [M:1-2].", "--model", str(tiny_folder), "--alternatives", "1"]
    lines = _told(capsys, *argv).splitlines()
    facts = json.loads(_told(capsys, *argv, "--json"))
    found = lavida.load(tiny_folder).infill(photo, "one [M:1] on [M:1-2].", alternatives=1)
    assert lines[0] == facts["text"] == found.text and len(lines) == 3
    assert found.text.startswith("one ") and " on " in found.text and found.text.endswith(".")
    assert [hole["text"] for hole in facts["holes"]] == [hole.text for hole in found.holes]
    assert lines[1].startswith(f"  1. {found.holes[0].text} ") and facts["holes"][0]["tokens"] == 1


def test_revise_shows_the_difference(photo: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["revise", str(photo), "a cat and", "--model", str(tiny_folder), "--doubt", "0.1", "--changes", "1"]
    lines = _told(capsys, *argv).splitlines()
    facts = json.loads(_told(capsys, *argv, "--json"))
    assert lines[1] == facts["new"] and facts["old"] == "a cat and"
    for change in facts["changes"]:
        assert f"[-{change['old']}-]" in lines[0] or not change["old"]
        assert f"{{+{change['new']}+}}" in lines[0] or not change["new"]
    assert bool(facts["changes"]) == (facts["gain"] > 0) == (facts["new"] != facts["old"])


def test_audit_tells_every_word(
    photo: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "heat.html"
    argv = ["audit", str(photo), "a cat <b>.", "--model", str(tiny_folder)]
    table = _told(capsys, *argv, "--html", str(page))
    facts = json.loads(_told(capsys, *argv, "--json"))
    assert [word["text"] for word in facts["words"]] == ["a", "cat", "<", "b", ">."]
    assert len(table.splitlines()) == 6 and table.splitlines()[2].startswith("cat ")
    for word in facts["words"]:
        assert word["support"] == pytest.approx(word["log_likelihood"] - word["without_picture"])
        assert word["support"] == pytest.approx(sum(token["support"] for token in word["tokens"]), abs=1e-5)
    html = page.read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in html and "&lt;" in html and "<b>" not in html


def test_a_text_model_fills_without_a_picture(
    random_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for family in ("dream", "llada"):
        argv = ["fill", "say [M:2] now", "--model", str(random_folders[family]), "--alternatives", "1"]
        text = _told(capsys, *argv, "--question", "Who?").splitlines()[0]
        assert text.startswith("say ") and text.endswith(" now")
    assert main(["fill", __file__, "say [M]", "--model", str(random_folders["dream"])]) == 2
    assert "the model reads text only; leave" in capsys.readouterr().err


def test_a_model_with_gap_tokens_can_be_asked_for_lengths(
    photo: Path, random_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fill", str(photo), "say [M:3] now", "--how", "fim", "--alternatives", "0", "--json", "--model"]
    facts = json.loads(_told(capsys, *argv, str(random_folders["lavida-fim"])))
    assert facts["text"].startswith("say ") and facts["text"].endswith(" now") and facts["tried"] == 1
    assert 0 <= facts["holes"][0]["tokens"] <= 3
    assert main([*argv, str(random_folders["lavida-dream"])]) == 2
    assert "this model has no tokens for gaps" in capsys.readouterr().err


def test_a_left_to_right_model_audits_but_neither_fills_nor_revises(photo: Path) -> None:
    tokenizer = tiny_tokenizer()
    config = tiny_config(
        None, vocab_size=tokenizer.size, mask_id=tokenizer.mask_id, eos_ids=(tokenizer.eos_id,), autoregressive=True,
        logit_shift=True,
    )  # fmt: skip
    model = lavida.Model(tiny_net(config), tokenizer, name="twin")
    with pytest.raises(lavida.LavidaError, match="sees nothing behind a gap"):
        model.infill(None, "a [M]")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["fill", "PHOTO"], "give one text behind one picture; say lavida fill photo.jpg"),
        (["fill", "PHOTO", "a cat"], "the text has no hole"),
        (["fill", "PHOTO", "a [M:x]"], "cannot read the hole [M:x]"),
        (["fill", "PHOTO", "a [M]", "--how", "guess"], "unknown how 'guess'"),
        (["fill", "PHOTO", "a [M]", "--most", "0"], "most must be 1 to 64, got 0"),
        (["fill", "PHOTO", "a [M:900]"], "prompt and answer take"),
        (["fill", "PHOTO", "a [M]", "--remasking", "luck"], "unknown remasking 'luck'"),
        (["fill", "PHOTO", "a [M]", "--cache", "dual"], "the cache of a likelihood is prefix or none, got 'dual'"),
        (["fill", "no.png", "a [M]"], "no.png: no such file"),
        (["revise", "PHOTO", " "], "the text is empty"),
        (["revise", "PHOTO", "a cat", "--doubt", "-1"], "doubt must be 0 to 100, got -1"),
        (["audit", "PHOTO", " "], "the text is empty"),
        (["audit", "PHOTO", "a cat", "--html", "/nowhere/x.html"], "cannot write /nowhere/x.html"),
        (["audit", "PHOTO", "a cat", "--question", " "], "the question is empty"),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str], words: str, photo: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(photo) if word == "PHOTO" else word for word in argv]
    assert main([*argv, "--model", str(tiny_folder)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("lavida: ") and err.count("\n") == 1 and words in err


@pytest.mark.parametrize(
    ("seen", "blind", "warmth", "doubted"),
    [(-0.1, -5.1, 5.0, False), (-1.0, -0.5, -0.5, False), (-9.0, -12.0, -6.0, True), (0.0, 0.0, 0.0, False)],
)
def test_an_unlikely_word_is_never_green(seen: float, blind: float, warmth: float, doubted: bool) -> None:
    word = Word(tokens=(Token(text=" <dog>", seen=seen, blind=blind, instead=" cat", instead_seen=-0.1),))
    assert heat(word) == pytest.approx(warmth, abs=0.01)
    html = page(Audit(words=(word,)), picture=gradient(30, 20), title="What?")
    assert ("class=doubted" in html) == doubted and "&lt;dog&gt;" in html and "<dog>" not in html
    assert (f"rgba(218, 54, 51, {min(1, abs(warmth) / 6):.2f})" in html) == (warmth < 0)
