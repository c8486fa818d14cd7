"""Where samples come from: JSON and JSON lines with a folder of pictures, tar shards, sets of the `datasets` library.

A source is read entry by entry, in any order and from any process; one that is broken says so when it is read.
"""

from __future__ import annotations

import glob
import json
import re
from array import array
from pathlib import Path
from typing import Any, Protocol

from lavida.data.hub import open_hub, open_parquet, open_saved
from lavida.data.samples import MARK, PICTURE_SIZE, BrokenSample, Picture, Sample, read_sample
from lavida.data.shards import ShardSource
from lavida.errors import DataError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Source(Protocol):
    """Samples by index."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Raises BrokenSample."""
        ...

    def size_of(self, index: int) -> int:
        """About how long a sample is, in letters, told without reading its pictures."""
        ...


def open_source(path: str | Path, *, images: str | Path | None = None, split: str = "train") -> Source:
    """The source that a path names. Raises DataError for one that is missing or of no known kind.

    A `.json` or `.jsonl` file, whose pictures lie in the folder `images` (its own folder if None); a `.tar` file, a
    pattern of them such as `set-{000..031}.tar` or `set-*.tar`, or a folder with `.tar` files; a `.parquet` file, a
    folder that the `datasets` library wrote, or `hub:OWNER/NAME` of the hub, of which `split` is read.
    """
    spec, path = str(path), Path(path)
    if spec.startswith("hub:"):
        return open_hub(spec.removeprefix("hub:"), split=split)
    if ".tar" in path.suffixes[-2:]:
        return ShardSource(expand_shards(spec))
    if path.is_dir():
        return _open_folder(path, split)
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    if path.suffix == ".parquet":
        return open_parquet(path)
    if path.suffix in (".json", ".jsonl"):
        return JsonSource(path, images)
    raise DataError(f"{path}: no known kind of data set; give .json, .jsonl, .tar, .parquet or a folder of shards")


def _open_folder(path: Path, split: str) -> Source:
    if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return open_saved(path, split=split)
    shards = sorted(path.glob("*.tar"))
    if not shards:
        raise DataError(f"{path}: neither tar shards nor a saved data set in this folder; give the file itself")
    return ShardSource(shards)


def expand_shards(spec: str) -> list[Path]:
    """The files that a path with `{000..031}` or `*` names. Raises DataError for one that is missing."""
    found = _RANGE.search(spec)
    if found is None:
        paths = sorted(map(Path, glob.glob(spec))) if glob.has_magic(spec) else [Path(spec)]
    else:
        first, last = found.groups()
        numbers = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
        paths = [p for n in numbers for p in expand_shards(spec[: found.start()] + n + spec[found.end() :])]
    missing = next((p for p in paths if not p.is_file()), None)
    if missing is not None or not paths:
        raise DataError(f"{missing or spec}: no such file; check the path")
    return paths


class JsonSource:
    """A list of entries in JSON, or one entry a line, with pictures in files; entries are read when they are needed.

    Raises DataError for a file that cannot be read, or a list that is no valid JSON: nothing behind the error is sure.
    """

    def __init__(self, path: Path, images: str | Path | None = None) -> None:
        self.name, self.path = path.stem, path
        self.images = Path(images) if images is not None else path.parent
        if not self.images.is_dir():
            raise DataError(f"{self.images}: no such folder of pictures; check the path")
        self._starts, self._stops, self._sizes = array("q"), array("q"), array("q")
        try:
            with path.open("rb") as file:
                start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            self._index_list() if start == b"[" else self._index_lines()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        if not self._starts:
            raise DataError(f"{path}: the file holds no entries")

    def __len__(self) -> int:
        return len(self._starts)

    def size_of(self, index: int) -> int:
        return self._sizes[index]

    def __getitem__(self, index: int) -> Sample:
        start, stop = self._starts[index], self._stops[index]
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                record = json.loads(file.read(stop - start))
        except (ValueError, RecursionError) as error:  # of which JSON's and Unicode's errors are kinds
            raise BrokenSample("broken entry", f"no valid JSON ({_line(error)})") from None
        except OSError as error:
            raise BrokenSample("broken entry", f"cannot be read ({error.strerror})") from None
        return read_sample(record, f"{self.name}:{index}", self._picture)

    def _picture(self, value: Any) -> Picture:
        if not isinstance(value, str) or not value:
            raise BrokenSample("broken entry", f"a picture is given as {value!r:.40}; give the path of a file")
        return self.images / value

    def _add(self, start: int, text: bytes) -> None:
        self._starts.append(start)
        self._stops.append(start + len(text))
        self._sizes.append(len(text) + PICTURE_SIZE * max(text.count(MARK.encode()), b'"image' in text))

    def _index_lines(self) -> None:
        with self.path.open("rb") as file:
            at = 0
            for line in file:
                text = line.removeprefix(b"\xef\xbb\xbf") if at == 0 else line
                if text.strip():
                    self._add(at + len(line) - len(text), text.rstrip())
                at += len(line)

    def _index_list(self) -> None:
        data = self.path.read_bytes()
        at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
        try:
            text = data.decode("utf-8-sig")
            decoder, gap = json.JSONDecoder(), re.compile(r"[\s,]*")
            place = text.index("[") + 1
            at += place
            while True:
                start = gap.match(text, place).end()
                at += start - place
                if text[start : start + 1] == "]":
                    return
                _, place = decoder.raw_decode(text, start)
                written = text[start:place].encode()
                self._add(at, written)
                at += len(written)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{self.path}: no valid JSON ({_line(error)}); mend it, or write one entry a line"
            ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
