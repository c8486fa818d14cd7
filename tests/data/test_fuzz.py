"""Data files of any content: samples, or one of our errors, and nothing else."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from lavida.data.samples import BrokenSample, read_sample
from lavida.data.sources import open_source
from lavida.errors import DataError
from tests.data.sets import png

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
TEXTS = [
    "",
    " ",
    "What?",
    "A cat.",
    "<image>",
    "<image>\nWhat?",
    "<video>",
    "a.png",
    "human",
    "gpt",
    "user",
    "http://x/y",
]
NAMES = [
    "conversations",
    "messages",
    "texts",
    "question",
    "answer",
    "caption",
    "image",
    "images",
    "video",
    "data",
    "train",
]
KEYS = [
    "from",
    "value",
    "role",
    "content",
    "user",
    "assistant",
    "type",
    "text",
    "image",
    "image_url",
    "url",
    "bytes",
    "path",
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.floats(allow_nan=False),
    st.sampled_from(TEXTS),
    st.text(max_size=4),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=12,
)
ROLES = st.sampled_from(["human", "gpt", "user", "assistant", "system", "User", "tool", None, 3])
PART_TYPES = st.sampled_from(["text", "image", "image_url", "audio", None])
PARTS = st.lists(
    st.fixed_dictionaries({"type": PART_TYPES}, optional={"text": LEAVES, "image": LEAVES, "path": LEAVES}), max_size=3
)
TURNS = st.lists(
    st.fixed_dictionaries({}, optional={"from": ROLES, "role": ROLES, "value": LEAVES, "content": LEAVES | PARTS}),
    max_size=4,
)
RECORDS = st.fixed_dictionaries({}, optional={name: VALUES | TURNS | st.sampled_from(TEXTS) for name in NAMES})


def cases(number: int, start: int) -> Callable[[Any], Any]:
    """Return the settings of so many cases with a seed."""
    chosen = settings(
        max_examples=number, deadline=10_000, suppress_health_check=CHECKS, database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )  # fmt: skip
    return lambda test: seed(start)(chosen(test))


def read_all(path: Path) -> None:
    """Open a file and read every sample; our errors are no fault."""
    try:
        source = open_source(path)
    except DataError as error:
        assert "\n" not in str(error)
        return
    source.stamp()
    for index in range(len(source)):
        source.size_of(index)
        try:
            sample = source[index]
        except BrokenSample as error:
            assert "\n" not in str(error)
            continue
        assert sample.turns[-1].role == "assistant"


def record_case(record: Any) -> None:
    """Read one entry."""
    try:
        sample = read_sample(record, "set:0", Path)
    except BrokenSample:
        return
    pictures = [part.value for turn in sample.turns for part in turn.parts if part.kind == "image"]
    assert all(isinstance(picture, (Path, bytes)) for picture in pictures)
    assert pictures or not record.get("image")


@st.composite
def json_files(draw: st.DrawFn) -> bytes:
    """Draw a file of entries in one of the forms, with a few bytes changed."""
    records = draw(st.lists(RECORDS, max_size=4))
    indent = draw(st.sampled_from([None, 1]))
    form = draw(st.sampled_from(["lines", "list", "object", "objects"]))
    if form in ("lines", "objects"):
        text = "\n".join(json.dumps(record, indent=indent if form == "objects" else None) for record in records)
    else:
        text = json.dumps(
            records if form == "list" else {draw(st.sampled_from(NAMES)): records, "id": 1}, indent=indent
        )
    return mutated(draw, text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))))


@st.composite
def tar_files(draw: st.DrawFn) -> bytes:
    """Draw a shard of files in any order, with a few bytes changed."""
    names = st.sampled_from(
        ["1.jpg", "1.txt", "1.json", "2.png", "2.txt", "a/1.jpg", "a/1.txt", "./1.jpg", "._1.jpg", ".x", "1", "1.0.png",
         "1.1.png", "b/", "1.caption", "2.JSON", "README.md", "x/.hidden/1.txt"]
    )  # fmt: skip
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in draw(st.lists(names, max_size=8)):
            data = draw(
                st.sampled_from([b"", b"A cat.", png(), b"\xff\xfe", b"[]"])
                | RECORDS.map(lambda r: json.dumps(r).encode())
            )
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return mutated(draw, out.getvalue())


def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Return data with up to three bytes changed, and perhaps cut."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 3)) if changed else 0):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(0, len(changed)))]) if draw(st.booleans()) else bytes(changed)


def file_case(data: bytes, name: str) -> None:
    """Read a file of these bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        read_all(path)


@cases(60, 1)
@given(RECORDS)
def test_entries(record: dict[str, Any]) -> None:
    record_case(record)


@cases(50, 2)
@given(json_files())
def test_json_files(data: bytes) -> None:
    file_case(data, "set.json")


@cases(40, 3)
@given(tar_files())
def test_shards(data: bytes) -> None:
    file_case(data, "set.tar")


@pytest.mark.slow
@cases(2000, 11)
@given(RECORDS)
def test_two_thousand_entries(record: dict[str, Any]) -> None:
    record_case(record)


@pytest.mark.slow
@cases(1500, 12)
@given(json_files())
def test_fifteen_hundred_json_files(data: bytes) -> None:
    file_case(data, "set.json")


@pytest.mark.slow
@cases(1200, 13)
@given(tar_files())
def test_twelve_hundred_shards(data: bytes) -> None:
    file_case(data, "set.tar")


@pytest.mark.slow
@cases(300, 14)
@given(st.lists(TURNS, min_size=1, max_size=3), st.data())
def test_three_hundred_tables(rows: list[Any], data: st.DataObject) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("datasets")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        try:
            table = pyarrow.table(
                {"messages": rows, "image": [data.draw(st.sampled_from([None, "a.png"])) for _ in rows]}
            )
            parquet.write_table(table, path)
        except (pyarrow.ArrowException, TypeError, ValueError):  # rows of different types are no table
            return
        if data.draw(st.booleans()):
            path.write_bytes(mutated(data.draw, path.read_bytes()))
        read_all(path)
