"""Open data sets: JSON and JSON lines with a folder of pictures, tar shards, sets of the `datasets` library.

A source is read entry by entry, in any order and from any process; a broken entry is reported when it is read.
"""

from __future__ import annotations

import glob
import json
import re
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from lavida.checkpoint.files import find_placeholder
from lavida.data.folders import FolderSource
from lavida.data.hub import open_hub, open_parquet, open_saved
from lavida.data.samples import MARK, PICTURE_SIZE, Sample, broken, has_words, read_sample
from lavida.data.shards import ShardSource
from lavida.errors import DataError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_BOM = b"\xef\xbb\xbf"
_GAP = re.compile(r"[\s,:]*")
_DECODER = json.JSONDecoder()
_MOST_SHARDS = 100_000


class Source(Protocol):
    """Hold samples by index."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Read a sample. Raises BrokenSample."""

    def size_of(self, index: int) -> int:
        """Return about how many letters long a sample is, without reading its pictures."""

    def stamp(self) -> str:
        """Return a short mark of the content, which changes when a file is edited."""


def open_source(path: str | Path, *, images: str | Path | None = None, split: str = "train") -> Source:
    """Open the data set that a path names.

    Args:
        path: A `.json` or `.jsonl` file; a `.tar` file, a pattern of them such as `set-{000..031}.tar` or `set-*.tar`,
            or a folder with `.tar` files; a `.parquet` file, a folder that the `datasets` library wrote, or
            `hub:OWNER/NAME` of the hub; a folder whose folders hold pictures and are named by what these show.
        images: The folder of the pictures that entries name by their path; None: the file's own.
        split: The part of a set of the `datasets` library, or of a JSON object of lists, that is read.

    Raises:
        DataError: The data set is missing, or of no known kind.
    """
    spec, path = str(path), Path(path)
    folder = None if images is None else Path(images)
    if folder is not None and not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures; check the path")
    if spec.startswith("hub:"):
        return open_hub(spec.removeprefix("hub:"), split=split, images=folder)
    if ".tar" in path.suffixes[-2:]:
        return ShardSource(expand_shards(spec))
    if path.is_dir():
        if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return open_saved(path, split=split, images=folder)
        if shards := sorted(path.glob("*.tar")):
            return ShardSource(shards)
        return FolderSource(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    _check_real(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return open_parquet(path, images=folder)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return JsonSource(path, folder, split=split)
    raise DataError(f"{path}: no known kind of data set; give .json, .jsonl, .tar, .parquet or a folder of shards")


def expand_shards(spec: str) -> list[Path]:
    """Return the files that a path with `{000..031}` or `*` names. Raises DataError for a missing one."""
    found = _RANGE.search(spec)
    if found is None:
        paths = sorted(map(Path, glob.glob(spec))) if glob.has_magic(spec) else [Path(spec)]
    else:
        first, last = found.groups()
        if not 0 <= int(last) - int(first) < _MOST_SHARDS:
            raise DataError(f"{spec}: {found[0]} is no range of at most {_MOST_SHARDS} shards")
        numbers = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
        paths = [p for n in numbers for p in expand_shards(spec[: found.start()] + n + spec[found.end() :])]
    missing = next((p for p in paths if not p.is_file()), None)
    if missing is not None or not paths:
        raise DataError(f"{missing or spec}: no such file; check the path")
    for path in paths:
        _check_real(path)
    return paths


def _check_real(path: Path) -> None:
    """Raise DataError for a git-lfs pointer or a web page in the place of a file."""
    if placeholder := find_placeholder(path):
        raise DataError(placeholder)


class JsonSource:
    """Read entries in JSON, each when it is needed, with pictures in files.

    The file is one entry a line, a list of entries, one object that holds such a list (under any name, or one list for
    each split), or entries one behind the other over several lines.

    Raises:
        DataError: The file cannot be read, or is a list that is no valid JSON: nothing behind the error is certain.
    """

    def __init__(self, path: Path, images: str | Path | None = None, *, split: str = "train") -> None:
        self.name, self.path = path.stem, path
        self.images = Path(images) if images is not None else path.parent
        if not self.images.is_dir():
            raise DataError(f"{self.images}: no such folder of pictures; check the path")
        self._starts, self._stops, self._sizes = array("q"), array("q"), array("q")
        try:
            with path.open("rb") as file:
                head = file.read(64)
            if head.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DataError(f"{path}: is written in UTF-16; save it as UTF-8")
            start = head.removeprefix(_BOM).lstrip()[:1]
            if start == b"[":
                text = self._text()
                self._index_list(text, text.index("[") + 1)
            elif start != b"{" or not self._index_objects(split):
                self._index_lines()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        if not self._starts:
            raise DataError(f"{path}: the file holds no entries")

    def __len__(self) -> int:
        return len(self._starts)

    def size_of(self, index: int) -> int:
        """Return about how many letters long an entry is."""
        return self._sizes[index]

    def stamp(self) -> str:
        """Return the places of the entries as one number."""
        return f"{zlib.crc32(self._starts.tobytes() + self._stops.tobytes()):08x}"

    def __getitem__(self, index: int) -> Sample:
        start, stop = self._starts[index], self._stops[index]
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                record = json.loads(file.read(stop - start))
        except (ValueError, RecursionError) as error:  # of which JSON's and Unicode's errors are kinds
            raise broken(f"no valid JSON ({_line(error)})") from None
        except OSError as error:
            raise broken(f"cannot be read ({error.strerror})") from None
        return read_sample(record, f"{self.name}:{index}", self.images.joinpath)

    def _add(self, start: int, text: bytes) -> None:
        self._starts.append(start)
        self._stops.append(start + len(text))
        self._sizes.append(len(text) + PICTURE_SIZE * max(text.count(MARK.encode()), b'"image' in text))

    def _index_lines(self) -> None:
        with self.path.open("rb") as file:
            at = 0
            for line in file:
                text = line.removeprefix(_BOM) if at == 0 else line
                if text.strip():
                    self._add(at + len(line) - len(text), text.rstrip())
                at += len(line)

    def _index_list(self, text: str, start: int) -> None:
        """Index the list whose bracket stands before `start`, to the end of the file."""
        try:
            spans = list(_values(text, start, in_list=True))
        except (ValueError, RecursionError) as error:
            reason = f"no valid JSON ({_line(error)}); mend it, or write one entry a line"
            raise DataError(f"{self.path}: {reason}") from None
        if _skipped(text, spans[-1][1] if spans else start) + 1 < len(text.rstrip()):
            raise DataError(f"{self.path}: something stands behind the list of entries; write one list")
        self._add_spans(text, spans)

    def _index_objects(self, split: str) -> bool:
        """Index a file that begins with an object; False if it is one entry a line, some of them perhaps broken."""
        with self.path.open("rb") as file:
            first = next((line for line in file if line.removeprefix(_BOM).strip()), b"")
            more = any(line.strip() for line in file)
        try:
            whole = json.loads(first.removeprefix(_BOM))
        except (ValueError, RecursionError):
            whole, more = None, False
        if more or has_words(whole):
            return False
        try:
            text = self._text()
            spans = list(_values(text))
            record = json.loads(text[slice(*spans[0])])
        except (DataError, ValueError, RecursionError):  # then each line is read, and reported, by itself
            return False
        if len(spans) == 1 and not has_words(record):
            spans = self._spans_within(text, record, split)
        self._add_spans(text, spans)
        return True

    def _spans_within(self, text: str, record: dict[str, Any], split: str) -> list[tuple[int, int]]:
        """Return the places of the entries of the list that an object holds."""
        lists = {k: v for k, v in record.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
        name = split if split in lists else "data" if "data" in lists else next(iter(lists), None)
        if name is None or (len(lists) > 1 and name not in (split, "data")):
            held = f"several lists ({', '.join(lists)})" if lists else "no list of entries"
            raise DataError(f"{self.path}: one JSON object with {held}; write the entries as a list, or one a line")
        place = text.index("{") + 1
        while True:  # the key's own place: its text may also stand in a value before it
            key, place = _DECODER.raw_decode(text, _skipped(text, place))
            place = _skipped(text, place)
            if key == name:
                return list(_values(text, place + 1, in_list=True))
            _, place = _DECODER.raw_decode(text, place)

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: no UTF-8 ({_line(error)}); mend it, or write one entry a line") from None

    def _add_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> None:
        """Add values by their places in the text, as places in the file."""
        with self.path.open("rb") as file:
            at = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        before = 0
        for start, stop in spans:
            at += len(text[before:start].encode())
            written = text[start:stop].encode()
            self._add(at, written)
            at, before = at + len(written), stop


def _values(text: str, place: int = 0, *, in_list: bool = False) -> Iterator[tuple[int, int]]:
    """Yield the places of JSON values up to the end of the text, or of the list. Raises ValueError."""
    while True:
        place = _skipped(text, place)
        if text[place : place + 1] == "]" if in_list else place == len(text):
            return
        _, end = _DECODER.raw_decode(text, place)
        yield place, end
        place = end


def _skipped(text: str, place: int) -> int:
    """Return the place of the next value, key or bracket."""
    found = _GAP.match(text, place)
    return found.end() if found else place


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
