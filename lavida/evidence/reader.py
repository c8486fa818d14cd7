"""Read text in pictures with PP-OCRv6 tiny (Apache-2.0), if onnxruntime is installed (`pip install lavida[read]`).

A detector gives the probability that a pixel is the inner part of a line of text, a recogniser reads each line. Lines
are taken to be level; what is tilted by more than some 15 degrees is read badly.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lavida.errors import CheckpointError

DETECTOR, RECOGNISER = "reader-detector.onnx", "reader-recogniser.onnx"  # in a model folder
LONG_SIDE = 640
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXEL, LINE, GROWTH = 0.2, 0.4, 1.4  # limits of the probability; how far a line is grown
HEIGHT, WIDEST = 48, 960  # pixels of a line for the recogniser
LEAST = 0.6  # mean probability of the characters of a text that is kept
MAX_LINES = 24


@dataclass(frozen=True, kw_only=True)
class Text:
    """Hold one read text; edges are fractions of the picture's width and height."""

    text: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


def can_read() -> bool:
    """Tell whether onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


class Reader:
    """Find and read lines of text with two ONNX networks."""

    def __init__(self, detector: Path, recogniser: Path, *, threads: int = 1) -> None:
        """Open the networks. Raises CheckpointError for files that are no such networks."""
        onnxruntime = importlib.import_module("onnxruntime")  # an optional package without types
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._detector, self._recogniser = (
                onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                for path in (detector, recogniser)
            )
            characters = self._recogniser.get_modelmeta().custom_metadata_map["character"]
        except Exception as error:  # onnxruntime raises types of its own for each fault of a file
            raise CheckpointError(f"cannot open the reader's networks beside {detector}: {error}") from None
        self._characters = ["", *characters.split("\n"), " "]

    def __call__(self, picture: Image.Image) -> list[Text]:
        """Return the texts of a picture in reading order."""
        picture = picture.convert("RGB")
        wide, high = picture.size
        found = []
        for left, top, right, bottom in self._lines(picture):
            text, score = self._read(picture.crop((left, top, right, bottom)))
            if text and score >= LEAST:
                edges = (left / wide, top / high, right / wide, bottom / high)
                found.append(Text(text=text, score=score, **dict(zip(_EDGES, edges, strict=True))))
        return in_reading_order(found)

    def _lines(self, picture: Image.Image) -> list[tuple[int, int, int, int]]:
        """Return the boxes of lines in pixels of the picture."""
        wide, high = picture.size
        scale = min(1.0, LONG_SIDE / max(wide, high))
        size = tuple(max(32, round(side * scale / 32) * 32) for side in (wide, high))
        pixels = np.asarray(picture.resize((size[0], size[1]), Image.Resampling.BILINEAR), dtype=np.float32) / 255
        pixels = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        odds = self._run(self._detector, pixels.transpose(2, 0, 1)[None])[0, 0]
        boxes = []
        for x0, y0, x1, y1 in grown_boxes(odds):
            edges = (x0 / size[0] * wide, y0 / size[1] * high, x1 / size[0] * wide, y1 / size[1] * high)
            left, top, right, bottom = (round(edge) for edge in edges)
            box = (max(0, left), max(0, top), min(wide, right), min(high, bottom))
            if box[2] - box[0] >= 4 and box[3] - box[1] >= 4:
                boxes.append(box)
        return boxes[:MAX_LINES]

    def _read(self, line: Image.Image) -> tuple[str, float]:
        """Return the text of a line and the mean probability of its characters."""
        width = max(16, min(WIDEST, round(line.width * HEIGHT / line.height)))
        pixels = np.asarray(line.resize((width, HEIGHT), Image.Resampling.BILINEAR), dtype=np.float32)
        pixels = pixels[..., ::-1] / 127.5 - 1  # blue, green, red
        odds = self._run(self._recogniser, np.ascontiguousarray(pixels.transpose(2, 0, 1))[None])[0]
        return read_path(odds, self._characters)

    @staticmethod
    def _run(session: Any, pixels: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run(None, {session.get_inputs()[0].name: pixels})[0]
        return found


_EDGES = ("left", "top", "right", "bottom")


def read_path(odds: np.ndarray, characters: list[str]) -> tuple[str, float]:
    """Read the best path of a CTC output [T, K]: repeats are one, the first class is none."""
    best = odds.argmax(1)
    new = np.concatenate(([True], best[1:] != best[:-1])) & (best > 0)
    text = "".join(characters[i] for i in best[new] if i < len(characters))
    return text.strip(), float(odds.max(1)[new].mean()) if new.any() else 0.0


def grown_boxes(odds: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Return boxes around connected pixels of a probability map [H, W], grown to the whole height of the line."""
    boxes = []
    labels = connected(odds > PIXEL)
    for label in range(1, int(labels.max()) + 1):
        rows, columns = np.nonzero(labels == label)
        if len(rows) < 12 or float(odds[rows, columns].mean()) < LINE:
            continue
        y0, y1, x0, x1 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        high, wide = float(y1 - y0), float(x1 - x0)
        if min(high, wide) < 3:
            continue
        grow = high * wide * GROWTH / (2 * (high + wide))  # the distance by which the training shrank it
        boxes.append((x0 - grow, y0 - grow, x1 + grow, y1 + grow))
    return boxes


def connected(mask: np.ndarray) -> np.ndarray:
    """Give the 4-connected parts of a mask [H, W] numbers from 1, by joining the runs of neighbouring rows."""
    labels = np.zeros(mask.shape, dtype=np.int64)
    parent = [0]

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    before: list[tuple[int, int, int]] = []
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        now = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            touching = [root(label) for first, last, label in before if first < end and start < last]
            if touching:
                label = min(touching)
                for other in touching:
                    parent[other] = label
            else:
                label = len(parent)
                parent.append(label)
            labels[y, start:end] = label
            now.append((start, end, label))
        before = now
    roots = np.array([root(i) for i in range(len(parent))])
    kept, numbers = np.unique(roots, return_inverse=True)
    assert kept[0] == 0
    return numbers[labels]


def in_reading_order(texts: list[Text]) -> list[Text]:
    """Return texts line by line from above, each line from the left."""
    rows: list[list[Text]] = []
    for text in sorted(texts, key=lambda t: t.top + t.bottom):
        middle = (text.top + text.bottom) / 2
        if rows and middle < rows[-1][0].bottom and middle > rows[-1][0].top:
            rows[-1].append(text)
        else:
            rows.append([text])
    return [text for row in rows for text in sorted(row, key=lambda t: t.left)]


def find_reader(folder: Path) -> Reader | None:
    """Return the reader of a model folder; None where its files or onnxruntime are missing."""
    files = folder / DETECTOR, folder / RECOGNISER
    return Reader(*files) if can_read() and all(path.is_file() for path in files) else None
