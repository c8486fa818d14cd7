from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavida.cli.main import main


def ask(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["ask", *args])
    out, err = capsys.readouterr()
    return code, out.strip(), err.strip()


def test_ask_is_held_to_a_form(
    photo: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "array", "items": {"enum": ["x", 7]}, "minItems": 2, "maxItems": 2}')
    asked = (str(photo), "What?", "--model", str(tiny_folder), "--steps", "2")
    code, out, _ = ask(capsys, *asked, "--choice", "a cat", "--choice", "a dog")
    assert code == 0 and out in ("a cat", "a dog")
    code, out, _ = ask(capsys, *asked, "--regex", "[ab]{3}")
    assert code == 0 and len(out) == 3 and set(out) <= set("ab")
    code, out, _ = ask(capsys, *asked, "--schema", str(schema))
    assert code == 0 and len(json.loads(out)) == 2 and set(json.loads(out)) <= {"x", 7}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--regex", "a("), "the regex is malformed"),
        (("--regex", r"[^\s\S]"), "allows no text at all"),
        (("--regex", "(a|b)*a(a|b){20}"), "too complex"),
        (("--choice", "a", "--regex", "a"), "cannot go together"),
        (("--regex", "a{40}", "--length", "9"), "9 tokens cannot hold the shortest text"),
        (("--schema", "no such file"), "cannot read the schema"),
    ],
)
def test_what_cannot_be_kept_is_one_line(
    photo: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    code, out, err = ask(capsys, str(photo), "What?", "--model", str(tiny_folder), *options)
    assert code == 2 and out == "" and message in err and len(err.splitlines()) == 1
