"""Tar archives as inputs: WebDataset shards, or pictures packed together.

A `.json` file holds the entry (`lavida.batch.entries`) of the pictures that share its name up to the first dot: those
are shown together, in the order in which it names them, or else in that of the archive. A picture without one is an
input by itself. Other files are ignored, as are fields of a `.json` that are no entry's, since shards made for training
hold captions and the like.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from lavida.batch.entries import FIELDS, PICTURES, Entry, read_entry
from lavida.batch.names import Names
from lavida.data.samples import Picture
from lavida.data.shards import shown_by
from lavida.errors import DataError


class ArchiveInputs:
    """Read the inputs of one or several archives; of each file a place and a name is kept.

    Raises:
        DataError: A file is no uncompressed tar archive, is damaged, or there are no inputs in it.
    """

    kind = "tar"

    def __init__(self, paths: Sequence[Path], *, asked: str) -> None:
        self.paths, self._asked = list(paths), asked
        self._names, self._starts, self._sizes = Names(), array("q"), array("q")
        self._shard: list[int] = []  # of each archive, the number of files up to its end
        firsts, order = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for path in self.paths:
            before = len(self._names)
            keys = np.array([self._add(*found) for found in _files(path)], np.uint64)
            is_entry = np.array([self._is_entry(n) for n in range(before, len(self._names))], bool)
            first, sorted_ = _grouped(keys, is_entry)
            firsts.append(first + before)
            order.append(sorted_ + before)
            self._shard.append(len(self._names))
        self._order, self._firsts = np.concatenate(order), np.concatenate(firsts)
        if not len(self._firsts):
            raise DataError(f"{self.paths[0]}: the archive holds no pictures")
        self.unread = self._passed_over()

    def __len__(self) -> int:
        return len(self._firsts)

    def stamp(self) -> str:
        """Return a digest of names, places and sizes."""
        digest = hashlib.blake2b(self._starts.tobytes() + self._sizes.tobytes(), digest_size=16)
        for number in range(len(self._names)):
            digest.update(self._names[number].encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()

    def entries(self, places: Iterable[int]) -> Iterator[Entry]:
        """Yield the inputs at these places."""
        opened, archive = -1, None
        try:
            for place in places:
                files = self._files(place)
                shard = bisect_right(self._shard, files[0])
                if shard != opened:
                    if archive is not None:
                        archive.close()
                    archive, opened = self.paths[shard].open("rb"), shard
                assert archive is not None
                yield self._read(archive, files, place)
        finally:
            if archive is not None:
                archive.close()

    def _files(self, place: int) -> list[int]:
        """Return the numbers of the files of an input."""
        end = self._firsts[place + 1] if place + 1 < len(self._firsts) else len(self._order)
        return self._order[self._firsts[place] : end].tolist()

    def _read(self, archive: BinaryIO, files: Sequence[int], place: int) -> Entry:
        shown = [number for number in files if not self._is_entry(number)]
        written = [number for number in files if self._is_entry(number)]
        if not written:
            name = self._names[shown[0]]
            alone = {"image": self._data(archive, shown[0])}
            return _named(read_entry(alone, place, _nowhere, asked=self._asked, id=name), [name])
        key = _key(self._names[written[0]])
        if len(written) > 1 or len({self._names[number] for number in files}) < len(files):
            return Entry(index=place, id=key, error="its name stands several times in the archive; name each once")
        try:
            record: Any = json.loads(self._data(archive, written[0]))
        except (ValueError, RecursionError) as error:
            return Entry(index=place, id=key, error=f"no valid JSON ({' '.join(str(error).split())})")
        shown = [shown[i] for i in shown_by(record, [self._names[number].rpartition("/")[2] for number in shown])]
        if isinstance(record, dict):
            kept: dict[str, Any] = {name: value for name, value in record.items() if name not in ("image", "images")}
            record = kept | ({"images": [self._data(archive, number) for number in shown]} if shown else {})
        entry = read_entry(record, place, _nowhere, asked=self._asked, id=key, strict=False)
        return _named(entry, [self._names[number] for number in shown])

    def _data(self, archive: BinaryIO, number: int) -> bytes:
        archive.seek(self._starts[number])
        return archive.read(self._sizes[number])

    def _add(self, name: str, start: int, size: int) -> int:
        """Keep a file and return its key as a number."""
        self._names.append(name)
        self._starts.append(start)
        self._sizes.append(size)
        return int.from_bytes(hashlib.blake2b(_key(name).encode("utf-8", "surrogateescape"), digest_size=8).digest())

    def _is_entry(self, number: int) -> bool:
        return self._names[number].lower().endswith(".json")

    def _passed_over(self) -> tuple[str, ...]:
        """Return the fields of the first `.json` that are not read."""
        first = next((number for number in range(min(100, len(self._names))) if self._is_entry(number)), None)
        if first is None:
            return ()
        try:
            with self.paths[0].open("rb") as archive:
                record = json.loads(self._data(archive, first))
        except (ValueError, RecursionError):
            return ()
        return tuple(sorted(set(record) - set(FIELDS))) if isinstance(record, dict) else ()


def _grouped(keys: np.ndarray[Any, Any], is_entry: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Return where each input begins in the order of the files that stands beside it.

    Files of one key that has an entry are one input, every other file is one by itself; inputs are in the order of
    their first files.
    """
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    told = np.zeros(len(first), bool)
    told[group[is_entry]] = True
    place = np.where(told[group], first[group], np.arange(len(keys)))  # of the first file of each file's input
    order = np.argsort(place, kind="stable")
    return np.flatnonzero(np.diff(place[order], prepend=-1)), order


def _files(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, place and size of the pictures and entries of an archive. Raises DataError."""
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would hold a kilobyte for each file
                name = member.name.removeprefix("./")
                hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
                if member.isfile() and not hidden and PurePosixPath(name).suffix.lower() in (*PICTURES, ".json"):
                    yield name, member.offset_data, member.size
            end, size = archive.offset, path.stat().st_size
        with path.open("rb") as file:  # tarfile takes a damaged header for the end
            file.seek(end)
            if end > size or file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise DataError(f"{path}: damaged at byte {end}; nothing behind it can be read, fetch it again")
    except tarfile.TarError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: no whole, uncompressed tar archive ({reason}); fetch it again or gunzip it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a number in a header that is none
        raise DataError(f"{path}: no tar archive that can be read ({' '.join(str(error).split())})") from None


def _key(name: str) -> str:
    """Return the name of a file up to the first dot behind its folders."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _named(entry: Entry, names: Sequence[str]) -> Entry:
    return replace(entry, image=", ".join(names) or None)


def _nowhere(value: str) -> Picture:
    raise DataError(f"{value:.60}: the pictures of an archive lie beside their entry")
