"""JSON lists and lines, tar shards, tables: the same samples in any order; one broken entry spoils no other."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from lavida.data.samples import BrokenSample, Sample
from lavida.data.sources import Source, expand_shards, open_source
from lavida.errors import DataError
from tests.data.sets import ask, png, talk, write_lines, write_shard


def words(sample: Sample) -> list[str]:
    return [part.value for turn in sample.turns for part in turn.parts if part.kind == "text"]


def pictures(sample: Sample) -> list[Any]:
    return [part.value for turn in sample.turns for part in turn.parts if part.kind == "image"]


RECORDS = [ask(0), {"image": "ä.png", "conversations": talk("<image>\nWas ist 猫?", "Eine Katze.")}, ask(2)]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
@pytest.mark.parametrize("form", ["list", "indented", "lines"])
def test_json_is_read_entry_by_entry(form: str, bom: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"set.{'jsonl' if form == 'lines' else 'json'}"
    text = {
        "list": json.dumps(RECORDS),
        "indented": "\n " + json.dumps(RECORDS, indent=2, ensure_ascii=False),
        "lines": "\r\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS) + "\n\n",
    }[form]
    path.write_bytes(bom + text.encode())
    source = open_source(path)
    assert (source.name, len(source)) == ("set", 3)
    assert words(source[2]) == ["What is 2?", "Number 2."] and source[2].name == "set:2"
    assert words(source[1]) == ["Was ist 猫?", "Eine Katze."] and pictures(source[1]) == [tmp_path / "ä.png"]
    assert source.size_of(1) > 4000 > source.size_of(0)
    assert words(pickle.loads(pickle.dumps(source))[0]) == words(source[0])


def test_pictures_lie_in_the_folder_given(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    path = write_lines(tmp_path / "set.jsonl", [{"image": "a.png", "caption": "A."}])
    assert pictures(open_source(path, images=tmp_path / "photos")[0]) == [tmp_path / "photos" / "a.png"]


def test_a_broken_line_spoils_no_other(tmp_path: Path) -> None:
    source = open_source(
        write_lines(tmp_path / "set.jsonl", [ask(0), '{"id": ', ask(2), '{"image": 3, "caption": "A."}'])
    )
    assert len(source) == 4 and words(source[2]) == ["What is 2?", "Number 2."]
    for index, reason in ((1, "no valid JSON"), (3, "a picture is given as 3")):
        with pytest.raises(BrokenSample, match=reason):
            source[index]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("set.json", '[{"id": 1}, {"id": ]', "no valid JSON"),
        ("set.json", '[{"id": 1}', "no valid JSON"),
        ("set.json", "", "holds no entries"),
        ("set.json", "[]", "holds no entries"),
        ("set.txt", "[]", "no known kind"),
        ("set.tar", "hello", "no uncompressed tar archive"),
        ("set.tar.gz", "hello", "no uncompressed tar archive"),
    ],
)
def test_what_is_no_data_set_is_refused(name: str, text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=reason):
        open_source(tmp_path / name)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    for name in ("set.json", "set.tar", "set-{000..002}.tar", "set-*.tar"):
        with pytest.raises(DataError, match="no such file"):
            open_source(tmp_path / name)
    with pytest.raises(DataError, match="neither tar shards nor a saved data set"):
        open_source(tmp_path)
    with pytest.raises(DataError, match="no such folder of pictures"):
        open_source(write_lines(tmp_path / "set.jsonl", [ask()]), images=tmp_path / "photos")
    with pytest.raises(DataError, match="not of the form hub:OWNER/NAME"):
        open_source("hub:nobody")


def test_shards(tmp_path: Path) -> None:
    entry = json.dumps({"image": "elsewhere.png", "conversations": talk("<image>\nWhat?", "A cat.")}).encode()
    pair = json.dumps({"conversations": talk("<image><image>Same?", "No.")}).encode()
    write_shard(tmp_path / "a-00.tar", {"x/1.png": png(30), "x/1.json": entry, "x/2.txt": b"Words alone."})
    write_shard(tmp_path / "a-01.tar", {"3.json": pair, "3.left.png": png(31), "3.right.PNG": png(32), "4.cls": b"1"})
    source = open_source(tmp_path / "a-{00..01}.tar")
    assert len(source) == 4
    assert words(source[0]) == ["What?", "A cat."] and pictures(source[0]) == [png(30)]
    with pytest.raises(BrokenSample, match="a-00.tar/x/2 has no picture in its shard"):
        source[1]
    assert pictures(source[2]) == [png(31), png(32)] and source.size_of(2) == 8000 + len(pair)
    with pytest.raises(BrokenSample, match="a-01.tar/4 has no .json or .txt"):
        source[3]
    for again in (open_source(tmp_path), open_source(tmp_path / "a-*.tar"), pickle.loads(pickle.dumps(source))):
        assert [words(again[i]) for i in (0, 2)] == [words(source[i]) for i in (0, 2)]


def test_a_text_in_a_shard_is_one_unless_a_caption_lies_beside_it(tmp_path: Path) -> None:
    text = json.dumps({"text": "found beside it"}).encode()
    write_shard(tmp_path / "a.tar", {"1.json": text, "2.json": text, "2.txt": b"A cat.", "2.png": png()})
    source = open_source(tmp_path / "a.tar")
    assert source[0].is_text and words(source[0]) == ["found beside it"]
    assert words(source[1])[1] == "A cat." and pictures(source[1]) == [png()]


def test_a_shard_that_is_cut_short_gives_what_is_there(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "a.tar", {"1.png": png(), "1.txt": b"One.", "2.txt": b"Two." * 2000}).read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:4000])
    source = open_source(tmp_path / "a.tar")
    assert words(source[0])[1] == "One."
    with pytest.raises(BrokenSample, match="the shard is cut short"):
        source[1]


def test_ranges_of_shards_are_expanded(tmp_path: Path) -> None:
    for name in ("a-08-0.tar", "a-09-0.tar", "a-10-0.tar"):
        (tmp_path / name).write_bytes(b"")
    found = expand_shards(str(tmp_path / "a-{08..10}-{0..0}.tar"))
    assert [p.name for p in found] == ["a-08-0.tar", "a-09-0.tar", "a-10-0.tar"]


def _tables(tmp_path: Path) -> list[Source]:
    datasets = pytest.importorskip("datasets")
    rows = {
        "images": [[{"bytes": png(), "path": None}], [{"bytes": b"no picture", "path": None}], []],
        "texts": [[{"user": f"What is {i}?", "assistant": f"Number {i}."}] for i in range(3)],
    }
    features = datasets.Features(
        {
            "images": datasets.List(datasets.Image()),
            "texts": datasets.List({"user": datasets.Value("string"), "assistant": datasets.Value("string")}),
        }
    )
    table = datasets.Dataset.from_dict(rows, features=features)
    table.to_parquet(tmp_path / "table.parquet")
    table.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": table}).save_to_disk(tmp_path / "splits")
    return [open_source(tmp_path / name) for name in ("table.parquet", "one", "splits")]


def test_tables_of_the_datasets_library(tmp_path: Path) -> None:
    for source in _tables(tmp_path):
        assert len(source) == 3
        assert [words(source[i]) for i in range(3)] == [[f"What is {i}?", f"Number {i}."] for i in range(3)]
        assert pictures(source[0]) == [png()] and pictures(source[1]) == [b"no picture"] and pictures(source[2]) == []
    with pytest.raises(DataError, match="has no split 'test'; choose one of train"):
        open_source(tmp_path / "splits", split="test")
