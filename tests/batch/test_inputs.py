"""Folders, lines, archives and tables as inputs of a batch job."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lavida.batch.entries import Entry, read_entry
from lavida.batch.inputs import open_inputs
from lavida.batch.names import Names
from lavida.errors import DataError
from tests.batch.jobs import picture, write_folder, write_lines, write_tar

ASKED = "What is it?"


def entries(path: Path | str, **rest: str) -> list[Entry]:
    inputs = open_inputs(str(path), asked=ASKED, **rest)
    return list(inputs.entries(range(len(inputs))))


def shown(entry: Entry) -> list[object]:
    return [part.value for turn in entry.turns for part in turn.parts if part.kind == "image"]


def test_a_folder_is_read_with_its_folders_in_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", 5)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.png").write_bytes(picture(0))
    (folder / "notes.txt").write_text("no picture")
    (folder / "odd" / "phone.HEIC").write_bytes(b"")  # not read, but not passed over either
    os.symlink(folder, folder / "odd" / "again")
    os.symlink(folder / "nowhere", folder / "lost.png")
    found = entries(folder)
    assert [e.id for e in found] == [
        "00.png",
        "02.png",
        "04.png",
        "lost.png",
        *(f"odd/{n}" for n in ("01.png", "03.png", "phone.HEIC")),
    ]
    assert all(e.question == ASKED and e.error is None and e.image == e.id for e in found)
    assert shown(found[0]) == [folder / "00.png"] and [e.index for e in found] == list(range(7))


def test_an_edited_folder_has_another_stamp(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", 3)
    before = open_inputs(str(folder), asked=ASKED).stamp()
    assert open_inputs(str(folder), asked="Another?").stamp() == before
    (folder / "00.png").write_bytes(picture(9))
    assert open_inputs(str(folder), asked=ASKED).stamp() != before


def test_names_take_little_room_and_come_back_as_they_were() -> None:
    names, given = Names(), ["a", "", "ü/é.png", os.fsdecode(b"\xff.png")]
    for name in given:
        names.append(name)
    assert [names[i] for i in range(len(names))] == given


def test_lines_hold_questions_dialogues_and_options(tmp_path: Path) -> None:
    dialogue = [
        {"role": "user", "content": "<image>\nWhat?"}, {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Where?"},
    ]  # fmt: skip
    parts = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
    path = write_lines(
        tmp_path / "in.jsonl",
        [
            {"image": "a.png"},
            b"\xef\xbb\xbf  ",
            {"id": "x", "images": ["a.png", "b.png"], "question": "What differs?", "prompt": None},
            {"id": 7, "image": "a.png", "messages": dialogue},
            {"image": "a.png", "messages": parts, "options": {"steps": 2, "seed": None}},
            {"prompt": "No picture?"},
            {"image": {"bytes": None, "path": str(tmp_path / "abs.png")}, "prompt": "What?"},
            {"image": "data:image/png;base64,YWJj", "prompt": "What?"},
        ],
    )
    found = entries(path)
    assert [e.error for e in found][:1] + [e.error for e in found][2:] == [None] * 7
    assert found[1].error is not None and "no valid JSON" in found[1].error  # the mark of a file stands at its start
    plain, _, two, talk, placed, blind, absolute, data = found
    assert (plain.id, plain.question, shown(plain)) == (0, ASKED, [tmp_path / "a.png"])
    assert (two.id, two.question, two.image) == ("x", "What differs?", "a.png, b.png")
    assert [t.role for t in talk.turns] == ["user", "assistant", "user"] and talk.question == "Where?"
    assert [p.kind for p in talk.turns[0].parts] == ["image", "text"] and talk.turns[0].parts[1].value == "What?"
    assert shown(placed) == [tmp_path / "a.png"] and placed.options == {"steps": 2}
    assert blind.image is None and shown(blind) == [] and blind.question == "No picture?"
    assert shown(absolute) == [tmp_path / "abs.png"] and (shown(data), data.image) == ([b"abc"], "data:...")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ([1], "no JSON object"),
        ({"image": "a.png", "questoin": "What?"}, "a field 'questoin', which is not read; fields are id, image"),
        ({"id": 1.5, "image": "a.png"}, "the id 1.5; give a text or a whole number"),
        ({"id": "x"}, "shows no picture and asks nothing"),
        ({"image": "a.png", "images": ["b.png"]}, "image and images; give one"),
        ({"image": 3}, "a picture is given as 3"),
        ({"image": "https://example.org/a.png"}, "is a URL; fetch the picture"),
        ({"image": "a.png", "question": " "}, "a question that is no text"),
        ({"image": "a.png", "question": 4}, "a question that is no text"),
        ({"image": "a.png", "question": "a", "prompt": "b"}, "question and prompt; give one"),
        ({"image": "a.png", "options": [1]}, "options that are no object"),
        ({"image": "a.png", "options": {"deadline": "1s"}}, "a deadline among its options"),
        ({"messages": "["}, "messages that are no valid JSON"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "the last message is the assistant's"),
        ({"image": "a.png", "question": "<image><image>"}, "2 places <image> and 1 pictures"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "0 pictures for 1 places"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": "v.mp4"}]}]}, "shows a video"),
    ],
)
def test_what_is_wrong_with_a_record_is_its_error(record: object, words: str) -> None:
    entry = read_entry(record, 5, Path, asked=ASKED)
    assert entry.index == 5 and entry.error is not None and words in entry.error


def test_broken_lines_keep_their_places(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "in.jsonl", [{"image": "a.png"}, b"{", b"", b'{"image": "\xff"}', {"id": "z", "foto": 1}]
    )
    found = entries(path)
    assert [e.error is None for e in found] == [True, False, False, False]  # a blank line is none
    assert "no valid JSON" in str(found[1].error) and found[3].id == "z"


def test_lines_name_pictures_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = write_lines(tmp_path / "in.jsonl", [{"image": "a.png"}])
    assert shown(entries(path, images=str(tmp_path / "elsewhere"))[0]) == [tmp_path / "elsewhere" / "a.png"]


def test_an_archive_of_pictures_and_of_shards(tmp_path: Path) -> None:
    told = {"question": "What differs?", "caption": "not read", "options": {"steps": 2}}
    files = [
        ("./b.json", json.dumps(told).encode()),
        ("Shot 2024.05.01.png", picture(1)),
        ("Shot 2024.05.02.png", picture(2)),
        ("b.0.png", picture(3)),
        ("._b.0.png", b"of macOS"),
        ("in/c.jpg", picture(4)),
        ("in/c.txt", b"a caption"),
        ("b.1.png", picture(5)),
    ]
    path = write_tar(tmp_path / "a.tar", files)
    inputs = open_inputs(str(path), asked=ASKED)
    found = list(inputs.entries(range(len(inputs))))
    assert [e.id for e in found] == ["b", "Shot 2024.05.01.png", "Shot 2024.05.02.png", "in/c.jpg"]
    assert [shown(e) for e in found] == [[picture(3), picture(5)], [picture(1)], [picture(2)], [picture(4)]]
    assert found[0].question == "What differs?" and found[0].image == "b.0.png, b.1.png" and found[0].options
    assert found[1].question == ASKED and found[1].image == "Shot 2024.05.01.png" and inputs.unread == ("caption",)
    assert [e.id for e in inputs.entries([2, 3])] == ["Shot 2024.05.02.png", "in/c.jpg"]


def test_pictures_of_an_archive_come_in_the_order_of_their_entry(tmp_path: Path) -> None:
    for names, order in ((["0.a.png", "0.b.png"], (1, 2)), (["one.png", "two.png"], (2, 1))):
        told = json.dumps({"images": names, "question": "What differs?"}).encode()
        files = [("0.b.png", picture(2)), ("0.a.png", picture(1)), ("0.json", told)]
        (found,) = entries(write_tar(tmp_path / "a.tar", files))
        assert shown(found) == [picture(n) for n in order]


def test_several_archives_are_read_one_after_the_other(tmp_path: Path) -> None:
    for shard in range(3):
        write_tar(tmp_path / f"set-{shard:03}.tar", {f"{shard}-{n}.png": picture(n) for n in range(2)})
    names = [f"{shard}-{n}.png" for shard in range(3) for n in range(2)]
    for spec in (tmp_path / "set-{000..002}.tar", tmp_path / "set-*.tar", tmp_path):
        assert [e.id for e in entries(spec)] == names


def test_broken_entries_of_an_archive_keep_their_places(tmp_path: Path) -> None:
    files = [("a.json", b"{"), ("b.json", b"{}"), ("b.json", b"{}"), ("c.json", b'{"id": "c", "question": "What?"}')]
    found = entries(write_tar(tmp_path / "a.tar", files))
    assert [e.error is None for e in found] == [False, False, True]
    assert "no valid JSON" in str(found[0].error) and "several times" in str(found[1].error)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "a.tar", {f"{n}.png": picture(n) for n in range(4)}).read_bytes()
    short, hurt = tmp_path / "short.tar", tmp_path / "hurt.tar"
    short.write_bytes(whole[:2000])
    hurt.write_bytes(whole[:1024] + b"\xff" * 512 + whole[1536:])
    for path in (short, hurt):
        with pytest.raises(DataError, match="fetch it again"):
            open_inputs(str(path), asked=ASKED)


def test_a_table_is_read_row_by_row(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [
        {
            "image": {"bytes": picture(n), "path": None} if n % 2 else {"bytes": None, "path": f"{n}.png"},
            "prompt": f"{n}?",
            "label": n,
        }
        for n in range(70)
    ]
    parquet.write_table(arrow.Table.from_pylist(rows[:50]), tmp_path / "a.parquet", row_group_size=40)
    parquet.write_table(arrow.Table.from_pylist(rows[50:]), tmp_path / "b.parquet")
    inputs = open_inputs(str(tmp_path), asked=ASKED)
    found = list(inputs.entries(range(70)))
    assert [e.question for e in found] == [f"{n}?" for n in range(70)] and inputs.unread == ("label",)
    assert shown(found[3]) == [picture(3)] and shown(found[60]) == [tmp_path / "60.png"]
    assert [e.id for e in inputs.entries([1, 2, 35, 39, 40, 69])] == [1, 2, 35, 39, 40, 69]
    assert [e.id for e in inputs.entries([5])] == [5]  # back again


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("none", lambda p: None, "no such file or folder"),
        ("none.tar", lambda p: None, "no such file"),
        ("a.csv", lambda p: p.write_text("a,b"), "no known kind of input"),
        ("a.json", lambda p: p.write_text("[]"), "no known kind of input"),
        ("empty.jsonl", lambda p: p.write_text("\n\n"), "holds no entries"),
        ("wide.jsonl", lambda p: p.write_text('{"id": 1}', "utf-16"), "UTF-16"),
        ("lfs.jsonl", lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs"),
        ("folder", lambda p: p.mkdir(), "no pictures in this folder"),
        ("no.tar", lambda p: p.write_text("no tar"), "uncompressed tar archive"),
        ("texts.tar", lambda p: write_tar(p, {"a.txt": b"a"}), "holds no pictures"),
        ("no.parquet", lambda p: p.write_text("no parquet"), "no parquet that can be read"),
    ],
)
def test_what_is_no_input_is_refused(tmp_path: Path, name: str, make, words: str) -> None:  # noqa: ANN001
    make(tmp_path / name)
    with pytest.raises(DataError, match=words):
        open_inputs(str(tmp_path / name), asked=ASKED)


def test_a_folder_of_two_kinds_and_pictures_elsewhere_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"a.png": picture(0)})
    with pytest.raises(DataError, match="--images goes with JSON lines"):
        open_inputs(str(tmp_path / "a.tar"), images=str(tmp_path), asked=ASKED)
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(DataError, match="name the one that is meant"):
        open_inputs(str(tmp_path), asked=ASKED)
