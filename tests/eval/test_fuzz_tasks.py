"""Files with a value of another kind, a key less or a byte more: a benchmark is read, or refused in one line."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from lavida.errors import LavidaError
from lavida.eval.items import Source
from lavida.eval.tasks.table import TASKS
from tests.eval import sets

OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    "",
    "x",
    [],
    ["a"],
    [None],
    {},
    {"a": 1},
    "1e999",
    10**30,
    "\ud800",
    "../../x",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values inside."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from places(one, (*path, key))
    elif isinstance(value, list):
        for n, one in enumerate(value):
            yield from places(one, (*path, n))


def spoilt(value: Any, rng: random.Random) -> Any:
    value = copy.deepcopy(value)
    path = rng.choice(list(places(value)))
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if rng.random() < 0.2:
        del holder[path[-1]]
    else:
        holder[path[-1]] = rng.choice(OTHERS)
    return value


def reads(name: str, root: Path) -> None:
    """Read, open pictures and score; only errors of ours, in one line, may come."""
    task = TASKS[name]
    try:
        items = task.load(Source(data=root))
        for item in items:
            item.open()
        if items:
            task.score(items, ["B", *["the answer is 7"] * (len(items) - 1)])
    except LavidaError as error:
        assert "\n" not in str(error) and str(error)


@pytest.mark.parametrize("name", TASKS)
def test_spoilt_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    sets.SETS[name](tmp_path)
    rng = random.Random(name)
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.suffix not in (".png", ".jpg", ".jpeg")):
        whole = path.read_bytes()
        for _ in range(60):
            if path.suffix == ".json" and not whole.startswith(b'{"question_id"'):
                path.write_text(json.dumps(spoilt(json.loads(whole), rng)), encoding="utf-8")
            elif path.suffix in (".jsonl", ".json"):
                lines = spoilt([json.loads(line) for line in whole.splitlines()], rng)
                path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
            elif path.suffix == ".parquet":
                rows = pyarrow.parquet.read_table(pyarrow.BufferReader(whole)).to_pylist()
                try:
                    table = pyarrow.Table.from_pylist(spoilt(rows, rng))
                except (pyarrow.ArrowException, TypeError, AttributeError, UnicodeError, OverflowError):
                    continue  # of two kinds in a column no table can be made
                try:
                    pyarrow.parquet.write_table(table, path)
                except pyarrow.ArrowException:
                    continue
            else:
                place = rng.randrange(len(whole))
                path.write_bytes(
                    whole[:place] + rng.choice((b"", b"\t", b"\n", b"\xff", b"9", b'"')) + whole[place + 1 :]
                )
            reads(name, tmp_path)
        path.write_bytes(whole)


PIECES = (
    *"ABCDE()[]{}.,:;'\"/\\^-+=%$ \n\t0123456789", "answer is ", "\\frac", "\\sqrt",
    "boxed{", "1e999", "nan", "-inf", "é",
    "\ud800", "�", "[0.1, 0.2, 0.5, 0.6]", "9" * 400, "yes", "NO", "\x00", "½", "٣",
)  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_any_text_gets_a_score(name: str, tmp_path: Path) -> None:
    sets.SETS[name](tmp_path)
    items, rng = TASKS[name].load(Source(data=tmp_path)), random.Random(name)
    for _ in range(100):
        texts = ["".join(rng.choices(PIECES, k=rng.randrange(12))) for _ in items]
        scores, figures = TASKS[name].score(items, texts)
        assert len(scores) == len(items) and all(value == value for value in figures.values()), texts
