"""Faults that users of data sets meet: nothing of an entry is dropped or paired wrongly without a word."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lavida.data.samples import BrokenSample, read_sample
from lavida.data.sources import open_source
from lavida.errors import DataError
from tests.data.sets import ask, png, talk, write_lines, write_shard
from tests.data.test_sources import pictures, words

TURNS = [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A cat."}]
FLAT = [("user", [Path("cat.png"), "What?"]), ("assistant", ["A cat."])]


def read(record: Any) -> list[tuple[str, list[Any]]]:
    sample = read_sample(record, "set:0", Path)
    return [(turn.role, [part.value for part in turn.parts]) for turn in sample.turns]


# Row 10: tar layouts.


def test_all_pictures_first_and_then_all_captions(tmp_path: Path) -> None:
    files = {f"{i}.jpg": png(30 + i) for i in range(4)} | {f"{i}.txt": f"Number {i}.".encode() for i in range(4)}
    source = open_source(write_shard(tmp_path / "a.tar", files))
    assert len(source) == 4
    for i in range(4):
        assert pictures(source[i]) == [png(30 + i)] and words(source[i])[1] == f"Number {i}."


def test_hidden_files_are_no_samples(tmp_path: Path) -> None:
    files = {
        "._1.jpg": b"x",
        "./1.jpg": png(),
        "./._1.txt": b"x",
        "1.txt": b"One.",
        "__MACOSX/1.txt": b"x",
        ".DS_Store": b"x",
    }
    source = open_source(write_shard(tmp_path / "a.tar", files))
    assert len(source) == 1 and pictures(source[0]) == [png()]


def test_keys_in_folders_and_endings_in_capitals(tmp_path: Path) -> None:
    files = {
        "a/1.JPG": png(30),
        "b/1.jpg": png(31),
        "b/1.TXT": b"In b.",
        "a/1.Json": json.dumps({"caption": "In a."}).encode(),
    }
    source = open_source(write_shard(tmp_path / "a.tar", files))
    found = {words(source[i])[1]: pictures(source[i]) for i in range(2)}
    assert found == {"In a.": [png(30)], "In b.": [png(31)]}


def test_a_name_that_comes_again_in_pieces_is_broken(tmp_path: Path) -> None:
    import io
    import tarfile

    def write(path: Path, files: list[tuple[str, bytes]]) -> Path:
        with tarfile.open(path, "w") as archive:
            for name, data in files:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path

    whole = [("1.jpg", png(30)), ("1.txt", b"a"), ("1.jpg", png(31)), ("1.txt", b"b")]
    source = open_source(write(tmp_path / "a.tar", whole))
    assert [(words(source[i])[1], pictures(source[i])) for i in range(2)] == [("a", [png(30)]), ("b", [png(31)])]
    pieces = [("1.jpg", png(30)), ("1.jpg", png(31)), ("2.jpg", png(32)), ("1.txt", b"a"), ("1.txt", b"b")]
    source = open_source(write(tmp_path / "b.tar", pieces))
    for i in (index for index in range(len(source)) if index != 2):
        with pytest.raises(BrokenSample):
            source[i]


def test_a_damaged_header_in_the_middle_is_reported(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.tar", {"1.jpg": png(), "1.txt": b"One.", "2.jpg": png(), "2.txt": b"Two."})
    data = bytearray(path.read_bytes())
    place = data.index(b"2.jpg\0")
    data[place : place + 300] = b"x" * 300
    path.write_bytes(data)
    source = open_source(path)
    assert words(source[0])[1] == "One."
    with pytest.raises(BrokenSample, match="damaged at byte"):
        source[len(source) - 1]


@pytest.mark.parametrize("name", ["txt", "json"])
def test_a_caption_without_its_picture_in_a_shard_is_named(name: str, tmp_path: Path) -> None:
    entry = {
        "txt": b"A cat.",
        "json": json.dumps({"image": "7.jpg", "conversations": talk("What?", "A cat.")}).encode(),
    }
    source = open_source(write_shard(tmp_path / "a.tar", {f"7.{name}": entry[name]}))
    with pytest.raises(BrokenSample, match="7 has no picture in its shard") as caught:
        source[0]
    assert caught.value.kind == "missing file"


@pytest.mark.parametrize(
    "record",
    [
        {"caption": "A cat."},
        {"caption": "A cat.", "image": None},
        {"caption": "A cat.", "images": []},
        {"caption": "A cat.", "images": [None]},
        {"caption": "A cat.", "image": ""},
        {"caption": "A cat.", "image": {"bytes": None, "path": None}},
        {"question": "What?", "answer": "A cat.", "image": None},
        {"conversations": talk("What?", "A cat."), "image": None},
        {"conversations": talk("<image>What?", "A cat."), "images": None},
        {"conversations": talk("What?", "See <image>."), "image": "cat.png"},
        {"image": "https://example.org/cat.png", "caption": "A cat."},
    ],
)
def test_no_entry_is_learnt_without_its_picture(record: dict[str, Any]) -> None:
    with pytest.raises(BrokenSample):
        read(record)


# Row 11: layouts of tables.

LAYOUTS = [
    {"image": "cat.png", "conversations": {"from": ["human", "gpt"], "value": ["What?", "A cat."]}},
    {"image": "cat.png", "conversations": json.dumps(talk("What?", "A cat."))},
    {"image": "cat.png", "conversations": TURNS},
    {"image": "cat.png", "messages": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A cat."}]},
    {"images": [{"bytes": None, "path": "cat.png"}], "messages": TURNS},
    {"image": "cat.png", "messages": {"role": ["user", "assistant"], "content": ["What?", "A cat."]}},
    {"image": "cat.png", "texts": {"user": ["What?"], "assistant": ["A cat."]}},
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "text": None, "image": {"bytes": None, "path": "cat.png"}},
                    {"type": "text", "text": "What?", "image": None},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "A cat.", "image": None}]},
        ]
    },
    {
        "messages": [
            {
                "role": "user",
                "content": {"type": ["image", "text"], "text": [None, "What?"], "image": ["cat.png", None]},
            },
            {"role": "assistant", "content": "A cat."},
        ]
    },
    {
        "images": ["cat.png"],
        "messages": [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
            TURNS[1],
        ],
    },
    {
        "messages": [
            {
                "role": "USER",
                "content": [{"type": "image_url", "image_url": {"url": "cat.png"}}, {"text": "What?"}],
            },
            TURNS[1],
        ]
    },
]


@pytest.mark.parametrize("record", LAYOUTS, ids=range(len(LAYOUTS)))
def test_every_layout_says_the_same(record: dict[str, Any]) -> None:
    assert read(record) == FLAT


def test_pictures_of_parts_and_of_the_entry_keep_their_places() -> None:
    content = [{"type": "image", "image": "own.png"}, {"type": "text", "text": "and"}, {"type": "image"}]
    record = {"images": ["given.png"], "messages": [{"role": "user", "content": content}, TURNS[1]]}
    assert read(record)[0] == ("user", [Path("own.png"), "and", Path("given.png")])


def test_a_data_url_is_its_picture() -> None:
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert read({"image": url, "caption": "A cat."})[0][1][0] == png()


def test_pictures_within_the_messages_of_a_table(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    part = {"type": datasets.Value("string"), "text": datasets.Value("string"), "image": datasets.Image()}
    features = datasets.Features(
        {"messages": datasets.List({"role": datasets.Value("string"), "content": datasets.List(part)})}
    )
    shown = {"type": "image", "text": None, "image": {"bytes": png(), "path": None}}

    def said(role: str, text: str, *parts: dict[str, Any]) -> dict[str, Any]:
        return {"role": role, "content": [*parts, {"type": "text", "text": text, "image": None}]}

    rows = {"messages": [[said("user", "What?", shown), said("assistant", "A cat.")]]}
    table = datasets.Dataset.from_dict(rows, features=features)
    table.to_parquet(tmp_path / "table.parquet")
    table.save_to_disk(tmp_path / "saved")
    for name in ("table.parquet", "saved"):
        source = open_source(tmp_path / name)
        assert pictures(source[0]) == [png()] and words(source[0]) == ["What?", "A cat."]
        assert source.size_of(0) > 4000


def test_a_table_with_a_sequence_of_turns_and_pictures_by_path(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "a.png").write_bytes(png())
    rows = {"image": ["a.png", None], "conversations": [{"from": ["human", "gpt"], "value": ["What?", "A cat."]}] * 2}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "table.parquet")
    source = open_source(tmp_path / "table.parquet")
    assert pictures(source[0]) == [tmp_path / "a.png"] and words(source[0]) == ["What?", "A cat."]
    assert pictures(source[1]) == []


# Lists within an object, and other forms of JSON.


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["data", "annotations", "train"])
def test_a_list_within_an_object_is_the_list(name: str, indent: int | None, tmp_path: Path) -> None:
    held = {"info": {"data": 1, "train": "x"}, name: [ask(0, text="\u00e4"), ask(1)], "licenses": ["x"]}
    for bom in ("", "\ufeff"):
        path = tmp_path / "set.json"
        path.write_text(bom + json.dumps(held, indent=indent, ensure_ascii=False), encoding="utf-8")
        source = open_source(path)
        assert [words(source[i]) for i in range(len(source))] == [
            ["What is 0?", "Number 0."],
            ["What is 1?", "Number 1."],
        ]


def test_entries_over_several_lines_and_a_single_one(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(json.dumps(ask(i), indent=1) for i in range(2)))
    assert len(open_source(path)) == 2
    path.write_text(json.dumps(ask(0), indent=1))
    assert words(open_source(path)[0]) == ["What is 0?", "Number 0."]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"images": [{"id": 1}], "annotations": [{"id": 1}]}', "several lists .images, annotations."),
        ('{"id": {"0": 1}}', "no list of entries"),
        ('[{"id": 1}] [{"id": 2}]', "something stands behind the list"),
    ],
)
def test_other_objects_are_refused_in_a_line(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(DataError, match=reason):
        open_source(tmp_path / "set.json")
    (tmp_path / "set.json").write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        open_source(tmp_path / "set.json")


def test_a_broken_first_line_spoils_no_other(tmp_path: Path) -> None:
    source = open_source(write_lines(tmp_path / "set.jsonl", ['{"id": ', ask(1)]))
    assert len(source) == 2 and words(source[1]) == ["What is 1?", "Number 1."]


def test_a_system_message_for_a_family_without_one_comes_before_the_question() -> None:
    import random

    from lavida.checkpoint.contents import survey

    from lavida.checkpoint.inventory import read_config
    from lavida.checkpoint.named import find_model, tokenizer_of
    from lavida.data.encode import Encoder

    folder = find_model(None)
    config = read_config(survey(folder))
    tokenizer = tokenizer_of(folder, config)
    system = {"role": "system", "content": "Be brief."}
    plain = [{"role": "user", "content": "Be brief.\nWhat?"}, TURNS[1]]
    asked = [system, {"role": "user", "content": "What?"}, TURNS[1]]
    encode = Encoder(config, tokenizer)
    ids = [encode(read_sample({"messages": m}, "set:0", Path), random.Random(0)).ids.tolist() for m in (asked, plain)]
    assert ids[0] == ids[1]
