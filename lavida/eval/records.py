"""Read the files of benchmarks: JSON, JSON lines, TSV, parquet; every mistake names the file and the line."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lavida.checkpoint.files import find_placeholder
from lavida.errors import DataError

_LONGEST_FIELD = 1 << 30  # characters of a TSV field: pictures in base 64
_DECODER = json.JSONDecoder()
_LARGEST = 1e9  # of a coordinate; nan is not below it either
_BLANK = " \t\r\n,"


class Record:
    """Hold an entry of a file and where it stands there."""

    def __init__(self, value: Any, path: Path, place: Callable[[], str], name: str = "") -> None:
        self.path, self.name, self._place = path, name, place
        if not isinstance(value, Mapping):
            self.fail(f"is {_kind(value)}, and should be an object")
        self.value: Mapping[str, Any] = value

    def __contains__(self, field: str) -> bool:
        return self.value.get(field) is not None

    def where(self) -> str:
        """Return the file and the line."""
        return f"{self.path}, {self._place()}"

    def fail(self, problem: str) -> Any:
        """Raise DataError: the file, the line and the problem."""
        raise DataError(f"{self.where()}: {problem}")

    def get(self, *fields: str) -> Any:
        """Return the value of the first of these fields that the entry has. Raises DataError if it has none."""
        for field in fields:
            if self.value.get(field) is not None:
                return self.value[field]
        return self.fail(f"has no {' or '.join(map(repr, fields))}; its fields are {', '.join(self.value) or 'none'}")

    def text(self, *fields: str, default: str | None = None) -> str:
        """Return a text or a number as text. Raises DataError if there is none and no default."""
        if default is not None and not any(field in self for field in fields):
            return default
        value = self.get(*fields)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.fail(f"{fields[0]!r} is {_kind(value)}, and should be a text")
        return str(value)

    def texts(self, *fields: str) -> tuple[str, ...]:
        """Return a list of texts, not empty. Raises DataError."""
        values = self.get(*fields)
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            self.fail(f"{fields[0]!r} is {_kind(values)}, and should be a list of texts")
        found = tuple(str(value) if isinstance(value, (int, float)) else value for value in values)
        if not found or not all(isinstance(value, str) for value in found):
            self.fail(f"{fields[0]!r} should be a list of texts, and not empty")
        return found

    def number(self, *fields: str) -> float:
        """Return a number, of a text too. Raises DataError."""
        value = self.get(*fields)
        try:
            found = float(value)
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        if not math.isfinite(found) or isinstance(value, bool):
            self.fail(f"{fields[0]!r} is {value!r:.60}, and should be a number")
        return found

    def whole(self, *fields: str) -> int:
        """Return a whole number, of a text too. Raises DataError."""
        value = self.number(*fields)
        if value != int(value):
            self.fail(f"{fields[0]!r} is {value}, and should be a whole number")
        return int(value)

    def box(self, field: str) -> tuple[float, float, float, float]:
        """Return left, top, width and height, the latter two above 0. Raises DataError."""
        values = self.get(field)
        if not isinstance(values, Sequence) or len(values) != 4 or not all(map(_is_number, values)):
            self.fail(f"{field!r} should be a list of 4 numbers: left, top, width, height")
        left, top, width, height = map(float, values)
        if width <= 0 or height <= 0:
            self.fail(f"{field!r} has a width or height that is not above 0")
        return left, top, width, height

    def inner(self, field: str) -> Record:
        """Return an object inside of this entry. Raises DataError if there is none."""
        value = self.get(field)
        if not isinstance(value, Mapping):
            self.fail(f"{field!r} is {_kind(value)}, and should be an object")
        return Record(value, self.path, self._place)

    def inners(self, field: str) -> list[Record]:
        """Return a list of objects inside of this entry, not empty. Raises DataError."""
        values = self.get(field)
        if not isinstance(values, list) or not values or not all(isinstance(value, Mapping) for value in values):
            self.fail(f"{field!r} should be a list of objects, and not empty")
        return [Record(value, self.path, self._place) for value in values]


def read_object(path: Path) -> Record:
    """Read a JSON file that holds one object. Raises DataError."""
    return Record(_parsed(path, _text(path)), path, _fixed("line 1"))


def read_entries(path: Path, *keys: str) -> list[Record]:
    """Read a JSON file: a list of entries, or an object with one under one of `keys`, or of entries by name.

    Raises:
        DataError: The file is missing, no valid JSON, or holds no such list.
    """
    text = _text(path)
    whole = _parsed(path, text)
    key = next((key for key in keys if isinstance(whole, Mapping) and isinstance(whole.get(key), list)), None)
    if isinstance(whole, Mapping) and key is None:
        if keys:
            raise DataError(f"{path}: has no list under {' or '.join(map(repr, keys))}; is it the right file?")
        return [Record(value, path, _entry_named(text, name), name) for name, value in whole.items()]
    entries = whole if key is None else whole[key]
    if not isinstance(entries, list):
        raise DataError(f"{path}: is {_kind(entries)}, and should be a list of entries")
    return [Record(value, path, _entry_numbered(text, key, n)) for n, value in enumerate(entries)]


def read_lines(path: Path) -> list[Record]:
    """Read JSON lines; blank ones are passed over. Raises DataError."""
    records = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: no valid JSON ({getattr(error, 'msg', 'too deep')})") from None
        records.append(Record(value, path, _fixed(f"line {number}")))
    return records


def read_json_or_lines(path: Path, *keys: str) -> list[Record]:
    """Read a JSON file as `read_entries` does, or JSON lines if its first line is a whole object."""
    first = _text(path).lstrip().split("\n", 1)
    try:
        lines = isinstance(json.loads(first[0]), Mapping) and len(first) > 1 and first[1].strip() != ""
    except ValueError:
        lines = False
    return read_lines(path) if lines or path.suffix == ".jsonl" else read_entries(path, *keys)


def read_text_lines(path: Path) -> list[tuple[int, str]]:
    """Read the lines of a text that are not blank, with their numbers. Raises DataError."""
    return [(number, line) for number, line in enumerate(_text(path).splitlines(), 1) if line.strip()]


def read_tsv(path: Path) -> list[Record]:
    """Read a table of tab-separated values with a heading; empty fields are left out. Raises DataError."""
    csv.field_size_limit(_LONGEST_FIELD)
    records: list[Record] = []
    reader = csv.reader(_text(path).splitlines(keepends=True), delimiter="\t")
    try:
        heading = next(reader, [])
        for row in reader:
            if not row:
                continue
            place = _fixed(f"line {reader.line_num}")
            if len(row) != len(heading):
                raise DataError(f"{path}, {place()}: has {len(row)} fields, and the heading names {len(heading)}")
            filled = {name: value for name, value in zip(heading, row) if value not in ("", "nan")}
            records.append(Record(filled, path, place))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    return records


def read_tables(paths: Sequence[Path]) -> list[Record]:
    """Read the rows of parquet files, pictures as bytes. Raises DataError; needs pyarrow."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError("parquet needs pyarrow: pip install pyarrow") from None
    records = []
    for path in paths:
        if problem := find_placeholder(path):
            raise DataError(problem)
        try:
            rows = parquet.read_table(path).to_pylist()
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: no parquet that can be read ({' '.join(str(error).split()):.200})") from None
        records += [Record(row, path, _fixed(f"row {number}")) for number, row in enumerate(rows)]
    return records


def _text(path: Path) -> str:
    if problem := find_placeholder(path):
        raise DataError(problem)
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; check the path") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: is not in UTF-8") from None


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "line 1"
        raise DataError(f"{path}, {at}: no valid JSON ({getattr(error, 'msg', 'too deep')})") from None


def _fixed(place: str) -> Callable[[], str]:
    return lambda: place


def _entry_numbered(text: str, key: str | None, number: int) -> Callable[[], str]:
    """Return what finds the line of an entry of a list; only a mistake needs it."""

    def place() -> str:
        for count, start in enumerate(_starts(text, key)):
            if count == number:
                return f"line {text.count(chr(10), 0, start) + 1} (entry {number})"
        return f"entry {number}"

    return place


def _starts(text: str, key: str | None) -> Iterator[int]:
    """Yield where the entries of a list begin."""
    at = text.find("[", text.find(json.dumps(key)) if key is not None else 0) + 1
    while at > 0:
        while at < len(text) and text[at] in _BLANK:
            at += 1
        if at >= len(text) or text[at] == "]":
            return
        yield at
        try:
            _, at = _DECODER.raw_decode(text, at)
        except ValueError:
            return


def _entry_named(text: str, name: str) -> Callable[[], str]:
    return lambda: f"line {text.count(chr(10), 0, max(0, text.find(json.dumps(name)))) + 1} (entry {name!r})"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", bytes: "bytes"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else type(value).__name__)
