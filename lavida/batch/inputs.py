"""Read the input of a batch job: a folder of pictures, JSON lines, tar shards or parquet files."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from lavida.batch.entries import PICTURES, Entry, Inputs, read_entry
from lavida.batch.names import Names
from lavida.checkpoint.files import find_placeholder
from lavida.data.sources import expand_shards
from lavida.errors import DataError

_BOM = b"\xef\xbb\xbf"


def open_inputs(spec: str, *, images: str | None = None, asked: str) -> Inputs:
    """Open the inputs that a path names.

    Args:
        spec: A folder of pictures, folders of it included; a `.jsonl` file; a `.tar` or `.parquet` file, a pattern of
            them such as `set-{000..031}.tar` or `part-*.parquet`, or a folder of them.
        images: The folder of the pictures that lines and rows name; None: that of the file.
        asked: The question of inputs without one.

    Raises:
        DataError: There is no such input, it is of no known kind, or it is empty or damaged.
    """
    path = Path(spec)
    if images is not None and not Path(images).is_dir():
        raise DataError(f"{images}: no such folder of pictures; check the path")
    if path.is_dir():
        found = {suffix: sorted(path.glob(f"*{suffix}")) for suffix in (".tar", ".parquet", ".jsonl")}
        kinds = [suffix for suffix, files in found.items() if files]
        if len(kinds) > 1 or kinds == [".jsonl"]:
            raise DataError(f"{spec} holds {' and '.join(kinds)} files; name the one that is meant")
        suffix, files = (kinds[0], found[kinds[0]]) if kinds else ("", [])
    else:
        suffix = path.suffix.lower()
        files = expand_shards(spec) if suffix in (".tar", ".parquet") else [path]
    if images is not None and suffix in ("", ".tar"):
        raise DataError("--images goes with JSON lines and parquet, which name pictures; leave it out")
    if suffix == ".tar":
        from lavida.batch.archives import ArchiveInputs

        return ArchiveInputs(files, asked=asked)
    if suffix == ".parquet":
        from lavida.batch.tables import TableInputs

        return TableInputs(files, images=Path(images) if images else None, asked=asked)
    if path.is_dir():
        return FolderInputs(path, asked=asked)
    if not path.exists():
        raise DataError(f"{spec}: no such file or folder; check the path")
    if suffix in (".jsonl", ".ndjson"):
        return LineInputs(path, images=Path(images) if images else path.parent, asked=asked)
    raise DataError(f"{spec}: no known kind of input; give a folder of pictures, .jsonl, .tar or .parquet")


class FolderInputs:
    """Read the pictures of a folder and of the folders in it, in the order of their names.

    Hidden files and folders are ignored. The id of an input is its path within the folder.

    Raises:
        DataError: There are no pictures, or the folder cannot be listed.
    """

    kind = "folder"
    unread: tuple[str, ...] = ()

    def __init__(self, path: Path, *, asked: str) -> None:
        self.path, self._asked, self._names = path, asked, Names()
        digest = hashlib.blake2b(digest_size=16)
        try:
            for name, size in _walk(path, "", set()):
                self._names.append(name)
                digest.update(os.fsencode(f"{name}\0{size}\0"))
        except OSError as error:
            raise DataError(f"{error.filename}: cannot be listed ({error.strerror})") from None
        if not len(self._names):
            raise DataError(f"{path}: no pictures in this folder (looked for {', '.join(sorted(PICTURES))})")
        self._stamp = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._names)

    def stamp(self) -> str:
        """Return a digest of names and sizes."""
        return self._stamp

    def entries(self, places: Iterable[int]) -> Iterator[Entry]:
        """Yield the inputs at these places."""
        for place in places:
            name = self._names[place]
            yield read_entry({"image": name}, place, self.path.joinpath, asked=self._asked, id=name)


def _walk(folder: Path, within: str, above: set[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    """Yield path and size of each picture below a folder; a link to a folder above it is not followed."""
    own = folder.stat()
    with os.scandir(folder) as listed:
        found = sorted((entry.name for entry in listed if not entry.name.startswith(".")), key=os.fsencode)
    inner = []
    for name in found:
        path = folder / name
        if path.is_dir():
            inner.append(name)
        elif path.suffix.lower() in PICTURES:  # a broken link is an input as well, and its error is told
            yield within + name, path.stat().st_size if path.exists() else -1
    passed = above | {(own.st_dev, own.st_ino)}
    for name in inner:
        there = (folder / name).stat()
        if (there.st_dev, there.st_ino) not in passed:
            yield from _walk(folder / name, f"{within}{name}/", passed)


class LineInputs:
    """Read one entry a line. The file is read once to find the lines, and each line again when its turn comes.

    Raises:
        DataError: The file cannot be read, is written in UTF-16, or holds no entries.
    """

    kind = "JSON lines"
    unread: tuple[str, ...] = ()

    def __init__(self, path: Path, *, images: Path, asked: str) -> None:
        self.path, self.images, self._asked = path, images, asked
        self._starts, digest = array("q"), hashlib.blake2b(digest_size=16)
        if placeholder := find_placeholder(path):
            raise DataError(placeholder)
        try:
            with path.open("rb") as file:
                at = 0
                for line in file:
                    if at == 0 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                        raise DataError(f"{path}: is written in UTF-16; save it as UTF-8")
                    digest.update(line)
                    if line.removeprefix(_BOM if at == 0 else b"").strip():
                        self._starts.append(at)
                    at += len(line)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        if not self._starts:
            raise DataError(f"{path}: the file holds no entries")
        self._stamp = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._starts)

    def stamp(self) -> str:
        """Return a digest of the file."""
        return self._stamp

    def entries(self, places: Iterable[int]) -> Iterator[Entry]:
        """Yield the inputs at these places."""
        with self.path.open("rb") as file:
            for place in places:
                file.seek(self._starts[place])
                yield self._read(file.readline(), place)

    def _read(self, line: bytes, place: int) -> Entry:
        try:
            record = json.loads(line.removeprefix(_BOM))
        except (ValueError, RecursionError) as error:  # of which JSON's and Unicode's errors are kinds
            reason = " ".join(str(error).split())
            return Entry(index=place, id=place, error=f"no valid JSON ({reason})")
        return read_entry(record, place, self.images.joinpath, asked=self._asked)
