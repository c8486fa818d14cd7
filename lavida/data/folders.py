"""Read photographs that are sorted into folders by their label."""

from __future__ import annotations

import zlib
from pathlib import Path

from lavida.data.samples import PICTURE_SIZE, Sample, read_sample
from lavida.errors import DataError
from lavida.image.load import SUFFIXES

QUESTION = "What is this?"
_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"}


class FolderSource:
    """Read photographs as samples: `photos/solar panel/roof.jpg` answers "What is this?" with "solar panel".

    _ stands for a space. A folder below a label's belongs to the label too. Hidden files and folders are ignored.

    Raises:
        DataError: There are no such folders, or all of them are named as the splits of a data set are.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.resolve().name, path
        found = sorted(p for p in path.glob("*/**/*") if p.suffix.lower() in SUFFIXES and p.is_file())
        self.files = [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)]
        if not self.files:
            raise DataError(
                f"{path}: neither tar shards nor a saved data set in this folder, nor folders of pictures; "
                "give the file itself, or make one folder for each label"
            )
        splits = dict.fromkeys(file.relative_to(path).parts[0] for file in self.files)
        if all(name.lower() in _SPLITS for name in splits):
            raise DataError(f"{path}: its folders are splits ({', '.join(splits)}) and no labels; give one of them")

    def __len__(self) -> int:
        return len(self.files)

    def stamp(self) -> str:
        """Return the names of the files as one number."""
        return f"{zlib.crc32(repr([str(f.relative_to(self.path)) for f in self.files]).encode()):08x}"

    def size_of(self, index: int) -> int:
        """Return about how many letters long a sample is."""
        return PICTURE_SIZE

    def __getitem__(self, index: int) -> Sample:
        file = self.files[index]
        label = file.relative_to(self.path).parts[0].replace("_", " ")
        record = {"image": str(file), "question": QUESTION, "answer": label}
        return read_sample(record, f"{self.name}:{index}", Path)
