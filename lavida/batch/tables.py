"""Parquet files as inputs: a row is an entry, its picture a path or the bytes, as the `datasets` library stores it."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

from lavida.batch.entries import FIELDS, Entry, read_entry
from lavida.data.samples import Picture
from lavida.errors import DataError

ROWS = 32  # decoded at a time
_FOOTER = 1 << 16  # bytes at the end of a file that its stamp covers: sizes and places of all columns


class TableInputs:
    """Read the rows of parquet files; columns that are no fields of an entry are not even decoded.

    Raises:
        DataError: pyarrow is missing, a file is no parquet, or there are no rows or no column of an entry.
    """

    kind = "parquet"

    def __init__(self, paths: Sequence[Path], *, images: Path | None, asked: str) -> None:
        parquet, self.paths, self._asked = _parquet(), list(paths), asked
        self._images = images
        self._groups: list[tuple[int, int]] = []  # of each row group: its file and its number there
        rows, self._digest = [0], hashlib.blake2b(digest_size=16)
        columns: set[str] | None = None
        for number, path in enumerate(self.paths):
            try:
                with parquet.ParquetFile(path) as file:
                    meta, names = file.metadata, set(file.schema_arrow.names)
            except (OSError, ValueError) as error:  # of which arrow's errors are kinds
                raise DataError(f"{path}: no parquet that can be read ({' '.join(str(error).split()):.200})") from None
            if columns is not None and names != columns:
                raise DataError(f"{path}: its columns are not those of {self.paths[0]}; give files of one table")
            columns = names
            self._groups += [(number, group) for group in range(meta.num_row_groups)]
            rows += [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
            self._stamp(path)
        self._bounds = list(accumulate(rows))  # of the row groups
        self._columns = [name for name in FIELDS if name in (columns or ())]
        self.unread = tuple(sorted((columns or set()) - set(FIELDS)))
        if not set(self._columns) & set(FIELDS[1:-1]):
            raise DataError(f"{self.paths[0]}: has none of the columns {', '.join(FIELDS[1:-1])}; rename them so")
        if not self._bounds[-1]:
            raise DataError(f"{self.paths[0]}: the table holds no rows")
        self._group, self._row = -1, 0
        self._batches: Iterator[Any] = iter(())
        self._held: Any = None

    def __len__(self) -> int:
        return self._bounds[-1]

    def stamp(self) -> str:
        """Return a digest of sizes and of the ends of the files."""
        return self._digest.hexdigest()

    def entries(self, places: Iterable[int]) -> Iterator[Entry]:
        """Yield the inputs at these places."""
        for place in places:
            try:
                record = self._record(place)
            except (OSError, ValueError) as error:
                reason = " ".join(str(error).split())
                yield Entry(index=place, id=place, error=f"the row cannot be read ({reason:.200})")
                continue
            yield read_entry(record, place, self._find, asked=self._asked)

    def _record(self, place: int) -> dict[str, Any]:
        """Return a row, reading on from the one before if that is in the same row group."""
        group = bisect_right(self._bounds, place) - 1
        row = place - self._bounds[group]
        if group != self._group or row < self._row:
            file, number = self._groups[group]
            opened = _parquet().ParquetFile(self.paths[file])
            self._batches = opened.iter_batches(batch_size=ROWS, row_groups=[number], columns=self._columns)
            self._group, self._row, self._held = group, 0, next(self._batches, None)
        while self._held is not None and row >= self._row + self._held.num_rows:
            self._row += self._held.num_rows
            self._held = next(self._batches, None)
        if self._held is None:
            raise ValueError("the file has become shorter")
        (record,) = self._held.slice(row - self._row, 1).to_pylist()
        return record

    def _find(self, path: str) -> Picture:
        return (self._images or self.paths[self._groups[self._group][0]].parent) / path

    def _stamp(self, path: Path) -> None:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size - _FOOTER))
            self._digest.update(f"{size} ".encode() + file.read())


def _parquet() -> ModuleType:
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError("parquet needs pyarrow: pip install 'lavida[ray]' or pyarrow alone") from None
    return pyarrow.parquet
