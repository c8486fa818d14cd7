"""`lavida extract` and `lavida poem`, with a tiny random model: what is asked for comes out all the same."""

import json
import re

import pytest

from lavida import api
from lavida.cli.main import main
from lavida.errors import RequestError
from tests.tiny import tiny_model

SCHEMA = {
    "title": "label",
    "type": "object",
    "properties": {"name": {"enum": ["tea", "salt"]}, "grams": {"type": "string", "pattern": "^[1-9][0-9]?$"}},
    "required": ["name", "grams"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(autouse=True)
def _tiny(model, monkeypatch):
    monkeypatch.setattr(api, "load", lambda *args, **kwargs: model)


@pytest.fixture
def schema(tmp_path):
    (tmp_path / "label.json").write_text(json.dumps(SCHEMA))
    return str(tmp_path / "label.json")


def test_an_object_comes_out_with_confidences(photo, schema, capsys):
    assert main(["extract", str(photo), "--schema", schema, "--steps", "4"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    value = json.loads(first)
    assert value["name"] in ("tea", "salt") and 1 <= int(value["grams"]) <= 99
    assert [line.split()[1] for line in rest] == ["/name", "/grams"]
    assert all(0 <= float(line.split()[0]) <= 1 for line in rest)


def test_a_line_of_json_for_each_picture(photo, schema, capsys):
    assert main(["extract", str(photo), str(photo), "--schema", schema, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (
        len(rows) == 2 and rows[0]["value"] == rows[1]["value"] and rows[0]["confidence"].keys() == {"/name", "/grams"}
    )


def test_one_bad_picture_does_not_stop_the_others(photo, schema, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    assert main(["extract", str(tmp_path / "bad.png"), str(photo), "--schema", schema]) == 2
    shown = capsys.readouterr()
    assert str(photo) in shown.out and shown.err.count("\n") == 1 and "bad.png" in shown.err


def test_a_pydantic_model_comes_back_as_an_instance(model, photo):
    pydantic = pytest.importorskip("pydantic")

    class Label(pydantic.BaseModel):
        grams: int = pydantic.Field(ge=1, le=99)
        organic: bool

    class Odd(Label):
        @pydantic.model_validator(mode="after")
        def never(self):
            raise ValueError("no label is good enough")

    found = model.extract(photo, Label, steps=2)
    assert isinstance(found.value, Label) and 1 <= found.value.grams <= 99
    assert found.confidence.keys() == {"/grams", "/organic"} and json.loads(found.text)["grams"] == found.value.grams
    with pytest.raises(RequestError, match="no label is good enough"):
        model.extract(photo, Odd, steps=2)


@pytest.mark.parametrize("steps", ["1", "8"])
def test_lines_begin_as_told(photo, steps, capsys):
    words = ["poem", str(photo), "--start", "Th", "--start", "Is", "--tokens", "2-4", "--steps", steps]
    assert main(words) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Th") and second.startswith("Is")


def test_a_poem_as_json(photo, capsys):
    assert main(["poem", str(photo), "--acrostic", "cat", "--tokens", "3", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert "".join(line[0] for line in row["lines"]) == "CAT" and row["steps"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--syllables", "5,x"], "no list of whole numbers"),
        (["--tokens", "1-2-3"], "no bounds"),
        (["--words", "3-2"], "no fewer than its least"),
        (["--tokens", "9", "--length", "4"], "4 tokens cannot hold the shortest text .* needs 9"),
        (["--start", "A", "--acrostic", "ab"], "leave out the starts"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(photo, words, says, capsys):
    assert main(["poem", str(photo), *words]) == 2
    shown = capsys.readouterr()
    assert re.search(says, shown.err) and shown.err.count("\n") == 1 and not shown.out
