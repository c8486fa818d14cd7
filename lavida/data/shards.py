"""WebDataset shards: tar files in which the files of one sample share their name up to the first dot.

    000017.jpg  000017.json            an entry as in `lavida.data.samples`
    000018.0.png  000018.1.png  000018.json    several pictures, in the order of the archive
    000019.webp  000019.txt            a picture and its caption

The archive is indexed once, so that samples can be read in any order; it must not be compressed.
"""

from __future__ import annotations

import json
import tarfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavida.data.samples import PICTURE_SIZE, BrokenSample, Picture, Sample, read_sample
from lavida.errors import DataError
from lavida.image.load import SUFFIXES

_WORDS = ("json", "txt", "caption")


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file of a sample: what follows the first dot of its name, and where its bytes are."""

    ending: str
    start: int
    size: int

    @property
    def is_picture(self) -> bool:
        return f".{self.ending.rpartition('.')[2].lower()}" in SUFFIXES


class ShardSource:
    """Samples of one or several shards. Raises DataError for a file that is no tar archive or holds no samples."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.name = self.paths[0].stem if len(self.paths) == 1 else f"{self.paths[0].stem}..."
        self._keys: list[str] = []
        self._shard = array("i")  # of each sample
        self._first = array("q")  # place of each sample's first file in the lists below
        self._endings: list[str] = []
        self._starts, self._sizes = array("q"), array("q")
        for shard, path in enumerate(self.paths):
            self._index(shard, path)
        self._first.append(len(self._endings))
        if not self._keys:
            raise DataError(f"{self.paths[0]}: the shard holds no samples")

    def __len__(self) -> int:
        return len(self._keys)

    def size_of(self, index: int) -> int:
        files = self._files(index)
        return sum(PICTURE_SIZE if file.is_picture else file.size for file in files)

    def __getitem__(self, index: int) -> Sample:
        files = self._files(index)
        words = next((file for ending in _WORDS for file in files if file.ending == ending), None)
        if words is None:
            raise BrokenSample("broken entry", f"{self._keys[index]} has no .json or .txt in its shard")
        pictures = [file for file in files if file.is_picture]
        with self.paths[self._shard[index]].open("rb") as archive:
            text, *shown = [_read(archive, file) for file in (words, *pictures)]
        try:
            record = json.loads(text) if words.ending == "json" else {"caption": text.decode("utf-8-sig")}
        except (ValueError, RecursionError) as error:
            raise BrokenSample(
                "broken entry", f"{self._keys[index]}.{words.ending}: {' '.join(str(error).split())}"
            ) from None
        if isinstance(record, dict):  # what it calls its pictures is of no use: they are those beside it
            record = {k: v for k, v in record.items() if k not in ("image", "images")} | {"images": shown}
        return read_sample(record, f"{self.name}:{index}", _given)

    def _files(self, index: int) -> list[_File]:
        places = range(self._first[index], self._first[index + 1])
        return [_File(ending=self._endings[i], start=self._starts[i], size=self._sizes[i]) for i in places]

    def _index(self, shard: int, path: Path) -> None:
        key = None
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if not member.isfile():
                        continue
                    folder, _, file = member.name.rpartition("/")
                    stem, _, ending = file.partition(".")
                    if key != (folder, stem):
                        key = (folder, stem)
                        self._keys.append(f"{path.name}/{stem}")
                        self._shard.append(shard)
                        self._first.append(len(self._endings))
                    self._endings.append(ending)
                    self._starts.append(member.offset_data)
                    self._sizes.append(member.size)
        except tarfile.TarError as error:
            if key is None:
                reason = " ".join(str(error).split())
                raise DataError(f"{path}: no uncompressed tar archive ({reason}); unpack it with gunzip") from None
            # Cut short: what came before is good, and reading the last sample tells what is missing.
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _read(archive: Any, file: _File) -> bytes:
    archive.seek(file.start)
    data = archive.read(file.size)
    if len(data) < file.size:
        raise BrokenSample("broken entry", "the shard is cut short here; fetch it again")
    return data


def _given(value: Any) -> Picture:
    return value
