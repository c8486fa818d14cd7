"""WebDataset shards: tar files in which the files of one sample share their name up to the first dot.

    000017.jpg  000017.json            an entry as in `lavida.data.samples`
    000018.0.png  000018.1.png  000018.json    several pictures, in the entry's order or else the archive's
    000019.webp  000019.txt            a picture and its caption

The files of a sample may stand anywhere in their archive, and in a folder of it. Hidden files and folders, among them
the `._` files of macOS, are ignored. The archive is indexed once, so that samples can be read in any order; it must not
be compressed.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lavida.data.samples import PICTURE_SIZE, BrokenSample, Picture, Sample, broken, has_words, read_sample
from lavida.errors import DataError
from lavida.image.load import SUFFIXES

_WORDS = ("json", "txt", "caption")
_UNREAD = ("heic", "heif", "jfif", "jp2", "jpe", "jxl", "svg", "tga", "avi", "mkv", "mov", "mp4", "webm")


@dataclass(frozen=True, kw_only=True)
class _File:
    """Describe a file of a sample: what follows the first dot of its name, and where its bytes are."""

    ending: str
    start: int
    size: int

    @property
    def kind(self) -> str:
        return self.ending.rpartition(".")[2].lower()

    @property
    def depth(self) -> int:
        return self.ending.count(".")

    @property
    def is_picture(self) -> bool:
        return f".{self.kind}" in SUFFIXES


class ShardSource:
    """Read samples of one or several shards.

    Raises:
        DataError: A file is no tar archive, or holds no samples.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.name = self.paths[0].stem if len(self.paths) == 1 else f"{self.paths[0].stem}..."
        self._keys: list[str] = []
        self._shard = array("i")  # of each sample
        self._first = array("q")  # place of each sample's first file in the lists below
        self._endings: list[str] = []
        self._starts, self._sizes = array("q"), array("q")
        self._broken: dict[int, str] = {}  # samples that the archive itself spoils
        for shard, path in enumerate(self.paths):
            for entry in _index(path):
                if entry.broken:
                    self._broken[len(self._keys)] = entry.broken
                self._keys.append(f"{path.name}/{entry.key}" if entry.key else path.name)
                self._shard.append(shard)
                self._first.append(len(self._endings))
                self._endings.extend(file.ending for file in entry.files)
                self._starts.extend(file.start for file in entry.files)
                self._sizes.extend(file.size for file in entry.files)
        self._first.append(len(self._endings))
        if not self._keys:
            raise DataError(f"{self.paths[0]}: the shard holds no samples")

    def __len__(self) -> int:
        return len(self._keys)

    def size_of(self, index: int) -> int:
        """Return about how many letters long a sample is."""
        return sum(PICTURE_SIZE if file.is_picture else file.size for file in self._files(index))

    def stamp(self) -> str:
        """Return the places of the files as one number."""
        return f"{zlib.crc32(self._starts.tobytes() + self._sizes.tobytes()):08x}"

    def __getitem__(self, index: int) -> Sample:
        if index in self._broken:
            raise broken(f"{self._keys[index]}: {self._broken[index]}")
        files = self._files(index)
        words = sorted((f for f in files if f.kind in _WORDS), key=lambda f: (f.depth, _WORDS.index(f.kind)))
        if not words:
            raise broken(f"{self._keys[index]} has no .json or .txt in its shard")
        first, *others = words
        rival = next((f for f in others if (f.kind, f.depth) == (first.kind, first.depth)), None)
        if rival is not None:
            raise broken(
                f"{self._keys[index]} has {first.ending} and {rival.ending}; "
                "names up to the first dot tell samples apart"
            )
        try:
            with self.paths[self._shard[index]].open("rb") as archive:
                record = self._record(index, words, archive)
                shown = [_read(archive, file) for file in self._shown(index, files, record)]
        except OSError as error:
            raise broken(f"{self._keys[index]} cannot be read ({error.strerror})") from None
        if isinstance(record, dict):
            named = any(record.get(key) for key in ("image", "images"))
            record = {k: v for k, v in record.items() if k not in ("image", "images")} | {"images": shown}
            if not shown and (named or "caption" in record):
                raise BrokenSample("missing file", f"{self._keys[index]} has no picture in its shard")
            unread = next((file.ending for file in files if file.kind in _UNREAD), None)
            if not shown and unread is not None:
                raise BrokenSample("missing file", f"{self._keys[index]}.{unread} is of no kind that is read; use JPEG")
        return read_sample(record, f"{self.name}:{index}", _named_elsewhere)

    def _shown(self, index: int, files: Sequence[_File], record: Any) -> list[_File]:
        """Return the pictures that an entry shows, in its order."""
        pictures = [file for file in files if file.is_picture]
        stem = self._keys[index].rpartition("/")[2]
        return [pictures[i] for i in shown_by(record, [f"{stem}.{file.ending}" for file in pictures])]

    def _record(self, index: int, words: Sequence[_File], archive: BinaryIO) -> Any:
        """Return the entry: the JSON, or the caption of a text beside a JSON that only describes the file."""
        record: Any = None
        for file in words:
            data = _read(archive, file)
            try:
                record = json.loads(data) if file.kind == "json" else {"caption": data.decode("utf-8-sig").strip()}
            except (ValueError, RecursionError) as error:
                reason = " ".join(str(error).split())
                raise broken(f"{self._keys[index]}.{file.ending}: {reason}") from None
            if has_words(record, plain=False):
                break
        return record

    def _files(self, index: int) -> list[_File]:
        places = range(self._first[index], self._first[index + 1])
        return [_File(ending=self._endings[i], start=self._starts[i], size=self._sizes[i]) for i in places]


@dataclass(kw_only=True)
class _Entry:
    """Hold the files of one key of an archive."""

    key: str
    files: list[_File]
    last: int = -1  # number of its last file in the archive
    broken: str = ""


def _index(path: Path) -> list[_Entry]:
    """Return the samples of an archive, in the order of their first files.

    A key that comes again is another sample if the files of each stand together; otherwise nobody can tell which file
    belongs to which, and all of them are broken.
    """
    found: list[_Entry] = []
    by_key: dict[str, list[_Entry]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for number, member in enumerate(member for member in archive if member.isfile()):
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
                    continue
                stem, _, ending = parts[-1].partition(".")
                key = "/".join([*parts[:-1], stem])
                same = by_key.setdefault(key, [])
                if not same or any(file.ending.lower() == ending.lower() for file in same[-1].files):
                    same.append(_Entry(key=key, files=[], last=number - 1))
                    found.append(same[-1])
                if len(same) > 1 and same[-1].last != number - 1:
                    for entry in same:
                        entry.broken = "its name stands several times in the shard, in pieces"
                same[-1].files.append(_File(ending=ending, start=member.offset_data, size=member.size))
                same[-1].last = number
            end = archive.offset
    except tarfile.TarError as error:
        if not found:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: no uncompressed tar archive ({reason}); unpack it with gunzip") from None
        # Cut short: what came before is good, and reading the last sample shows what is missing.
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a number in a header that is none
        raise DataError(f"{path}: no tar archive that can be read ({' '.join(str(error).split())})") from None
    else:
        with path.open("rb") as file:  # tarfile takes a damaged header for the end
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                found.append(_Entry(key="", files=[], broken=f"damaged at byte {end}; nothing behind it is read"))
    return found


def shown_by(record: Any, names: Sequence[str]) -> Sequence[int]:
    """Return which of the pictures beside an entry it shows, in its order.

    Args:
        record: The entry, whose "images" or "image" may name files, with or without what stands before the first dot.
        names: Of the pictures without folders, in the order of the archive. All are shown in this order if the entry
            names none or another file.
    """
    named = (record.get("images") or record.get("image")) if isinstance(record, dict) else None
    known = {alias.lower(): i for i, name in enumerate(names) for alias in (name, name.partition(".")[2])}
    values = named if isinstance(named, list) else [named]
    found = [known.get(value.rpartition("/")[2].lower()) if isinstance(value, str) else None for value in values]
    places = [i for i in found if i is not None]
    return places if len(places) == len(values) else range(len(names))


def _read(archive: BinaryIO, file: _File) -> bytes:
    archive.seek(file.start)
    data = archive.read(file.size)
    if len(data) < file.size:
        raise broken("the shard is cut short here; fetch it again")
    return data


def _named_elsewhere(value: str) -> Picture:
    raise BrokenSample("missing file", f"{value:.60}: the pictures of a shard lie beside their entry")
