"""Read split (v): natural questions about photographs that lie in packages and were never trained on."""

from __future__ import annotations

import bz2
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from PIL import Image

from lavida.errors import DataError
from mini.data.fetch import fetch, folder_name

SPLIT = Path(__file__).with_name("photos_v.json")
SIDE = 1280  # longer pictures are reduced to this


class _Row(TypedDict, total=False):
    photo: str
    kind: str
    language: str
    question: str
    accept: list[str]
    reject: list[str]
    yes: bool


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """Hold where a photograph lies: a package, a file in it and the file's SHA-256."""

    name: str
    package: str
    member: str
    sha256: str

    def path(self, folder: Path) -> Path:
        """Return the file in a folder of unpacked packages."""
        return folder / folder_name(self.package) / self.member


@dataclass(frozen=True, kw_only=True)
class PhotoQuestion:
    """Hold a question about a photograph and what is accepted as its answer (see `judge`).

    Args:
        photo: Name of the photograph.
        kind: A key of `judge.ROWS`.
        language: "en" or "zh".
        question: As a person would ask.
        accept: Words of which the answer must hold one; numbers for "count"; none for questions answered with yes
            or no, and for those that the picture cannot answer.
        reject: Words that the answer must not hold.
        yes: The right answer of a question answered with yes or no.
    """

    photo: str
    kind: str
    language: str
    question: str
    accept: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
    yes: bool | None = None


def load_split(path: Path = SPLIT) -> tuple[list[Photograph], list[PhotoQuestion]]:
    """Return the photographs and the questions of a split.

    Raises:
        DataError: If the file cannot be read or a question is about a photograph that it does not list.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        photographs = [Photograph(**row) for row in read["photographs"]]
        questions = [_question(row) for row in read["questions"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"cannot read the questions of {path}: {error!r}") from None
    strange = {q.photo for q in questions} - {p.name for p in photographs}
    if strange:
        raise DataError(f"{path} asks about photographs that it does not list: {', '.join(sorted(strange))}")
    return photographs, questions


def _question(row: _Row) -> PhotoQuestion:
    return PhotoQuestion(
        photo=row["photo"],
        kind=row["kind"],
        language=row["language"],
        question=row["question"],
        accept=tuple(row.get("accept", ())),
        reject=tuple(row.get("reject", ())),
        yes=row.get("yes"),
    )


def fetch_photographs(photographs: list[Photograph], folder: Path, say: Callable[[str], None] = print) -> None:
    """Fetch the packages of these photographs by name and check every file.

    Raises:
        DataError: If a package cannot be had or holds another file than the one that the questions are about.
    """
    fetch(dict.fromkeys(p.package for p in photographs), folder, say)
    for photograph in photographs:
        path = photograph.path(folder)
        if not path.exists():
            raise DataError(f"{photograph.package} has no {photograph.member}: delete {path.parent} and fetch it again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != photograph.sha256:
            raise DataError(f"{path} is not the photograph that the questions are about: its SHA-256 differs")


def open_photograph(photograph: Photograph, folder: Path) -> Image.Image:
    """Open a photograph as RGB, its longer side at most `SIDE` pixels."""
    path = photograph.path(folder)
    if path.suffix == ".dat":  # scipy's raccoon: raw bytes of a 1024 x 768 RGB picture
        return Image.frombytes("RGB", (1024, 768), bz2.decompress(path.read_bytes()))
    with Image.open(path) as picture:
        opened = picture.convert("RGB")
    opened.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return opened
