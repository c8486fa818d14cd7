"""A question of a benchmark, and a task: where its files are, how answers are scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from lavida.errors import DataError, RequestError
from lavida.eval.metrics import mean
from lavida.image.load import open_image

Scores = dict[str, float]  # of one answer or of all, by name
Picture = Path | bytes


@dataclass(frozen=True, kw_only=True)
class Item:
    """Hold one question."""

    id: str
    prompt: str
    images: tuple[Picture, ...]
    truth: Mapping[str, Any]  # what the answer is held against, as JSON has it
    answers: tuple[str, ...] = ()  # the possible answers, if their likelihoods can be compared
    group: str = ""  # a category of its own line in the report
    mark: tuple[float, float, float, float] | None = None  # left, top, right, bottom of a red frame in the picture
    where: str = ""  # its file and line

    def open(self) -> list[Image.Image]:
        """Open the pictures, upright and in RGB. Raises ImageError."""
        opened = [
            open_image(picture, name=None if isinstance(picture, Path) else f"the picture of {self.where}")
            for picture in self.images
        ]
        if self.mark is not None:
            opened[0] = opened[0].copy()
            ImageDraw.Draw(opened[0]).rectangle(self.mark, outline="red")
        return opened


@dataclass(frozen=True, kw_only=True)
class Source:
    """Say where the files of a benchmark are."""

    data: Path  # a folder, or the file of questions
    images: Path | None = None  # where pictures are, if not beside the questions
    split: str | None = None

    def split_among(self, known: Sequence[str], default: str) -> str:
        """Return the split that is asked for. Raises RequestError if the benchmark has no such."""
        if self.split is not None and self.split not in known:
            raise RequestError(f"there is no split {self.split!r}; choose one of {', '.join(known)}")
        return self.split or default

    def find(self, *patterns: str) -> Path:
        """Return the one file that is named so, at any depth. Raises DataError if there is none, or several."""
        if self.data.is_file():
            return self.data
        for pattern in patterns:
            found = self._matching(pattern)
            if len(found) > 1:
                some = ", ".join(str(path.relative_to(self.data)) for path in found[:4])
                raise DataError(f"{self.data} holds {len(found)} files that may be meant ({some}); give one of them")
            if found:
                return found[0]
        raise DataError(f"{self.data}: there is no {' or '.join(patterns)} in it; see docs/evaluation.md")

    def find_all(self, pattern: str) -> list[Path]:
        """Return the files that are named so, in order. Raises DataError if there is none."""
        if self.data.is_file():
            return [self.data]
        found = self._matching(pattern)
        if not found:
            raise DataError(f"{self.data}: there is no {pattern} in it; see docs/evaluation.md")
        return found

    def has(self, pattern: str) -> bool:
        """Return whether there is a file that is named so, or is the one that was given."""
        return self.data.match(pattern) if self.data.is_file() else bool(self._matching(pattern))

    def picture(self, name: str, *folders: str) -> Path:
        """Return the path of a picture: below `images`, or in one of these folders beside or above the questions.

        One that is missing is reported when it is opened.
        """
        if self.images is not None:
            return self.images / name
        root = self.data.parent if self.data.is_file() else self.data
        places = [base / folder / name for base in (root, root.parent) for folder in (*folders, "images", "", "image")]
        return next((place for place in places if place.exists()), root / (folders or ("images",))[0] / name)

    def _matching(self, pattern: str) -> list[Path]:
        if not self.data.exists():
            raise DataError(f"{self.data}: no such file or folder; check the path")
        direct = sorted(self.data.glob(pattern))
        return direct or sorted(self.data.rglob(pattern))


Scorer = Callable[[Sequence[Item], Sequence[str]], tuple[list[Scores], Scores]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Describe a benchmark."""

    name: str
    title: str
    files: str  # what is looked for, for the list of tasks
    load: Callable[[Source], list[Item]]
    score: Scorer
    main: str  # the figure that is published
    length: int  # tokens of an answer
    options: Mapping[str, Any] = field(default_factory=dict)  # of decoding, beside the length
    form: Callable[[Item], Mapping[str, Any]] | None = None  # options that hold one answer to a form
    unit: str = "%"  # of the figures: "%" are shares, shown times 100; "" as they are


def score_each(score: Callable[[Item, str], Scores]) -> Scorer:
    """Return a scorer that scores each answer alone, and whose figures are the means."""

    def scorer(items: Sequence[Item], texts: Sequence[str]) -> tuple[list[Scores], Scores]:
        scores = [score(item, text) for item, text in zip(items, texts, strict=True)]
        return scores, means(scores)

    return scorer


def means(scores: Sequence[Scores]) -> Scores:
    """Return the mean of each score over the answers that have it."""
    names = list(dict.fromkeys(name for one in scores for name in one))
    return {name: mean(one[name] for one in scores if name in one) for name in names}


def stamp(items: Sequence[Item]) -> str:
    """Return a digest of the questions and what their answers are held against."""
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        digest.update(json.dumps([item.id, item.prompt, item.truth, item.answers, item.mark], sort_keys=True).encode())
    return digest.hexdigest()
