"""Photographs sorted into folders by what they show: the smallest labelled set there is."""

from __future__ import annotations

from pathlib import Path

from lavida.data.samples import PICTURE_SIZE, Sample, read_sample
from lavida.image.load import SUFFIXES

QUESTION = "What is this?"


class FolderSource:
    """`photos/solar panel/roof.jpg` teaches to answer "What is this?" with "solar panel"; _ stands for a space.

    An ordinary folder below a label's counts for the label too. Hidden files and folders are passed over.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.resolve().name, path
        self.files = labelled_files(path)

    def __len__(self) -> int:
        return len(self.files)

    def size_of(self, index: int) -> int:
        return PICTURE_SIZE

    def __getitem__(self, index: int) -> Sample:
        file = self.files[index]
        label = file.relative_to(self.path).parts[0].replace("_", " ")
        record = {"image": str(file), "question": QUESTION, "answer": label}
        return read_sample(record, f"{self.name}:{index}", Path)


def labelled_files(path: Path) -> list[Path]:
    """The pictures in the folders of a folder, in the order of their names."""
    found = sorted(p for p in path.glob("*/**/*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)]
