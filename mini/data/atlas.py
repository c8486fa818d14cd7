"""The atlas: every cut-out, background and photograph of a data set in three pairs of files.

`cutouts.bin` holds the pictures' bytes one after the other, `cutouts.jsonl` one row each with offset and size;
`backgrounds` and `photos` alike.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lavida.errors import DataError
from mini.data.patterns import procedural

Row = dict[str, Any]


def write_pack(folder: Path, name: str, items: Iterable[tuple[Row, bytes]]) -> int:
    """Write `name.bin` and `name.jsonl`, adding index, offset and size to each row; return the number of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, offset = [], 0
    with open(folder / f"{name}.bin.part", "wb") as out:
        for row, data in items:
            out.write(data)
            rows.append({"index": len(rows), "offset": offset, "size": len(data)} | row)
            offset += len(data)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / f"{name}.bin.part").rename(folder / f"{name}.bin")
    return len(rows)


def _read_rows(path: Path) -> list[Row]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise DataError(f"no {path.name} in {path.parent}: build the data first (python -m mini build)") from None
    except ValueError as e:
        raise DataError(f"{path} is damaged ({e}): delete it and build the data again") from None


class Atlas:
    """Read pictures of an atlas folder as uint8 tensors; decoded cut-outs and backgrounds are kept."""

    def __init__(self, folder: Path, rows: list[Row], backgrounds: list[Row], photos: list[Row]) -> None:
        self.folder, self.rows, self.backgrounds, self.photos = folder, rows, backgrounds, photos
        self._bytes: dict[str, np.ndarray] = {}
        self._images: dict[int, Tensor] = {}
        self._grounds: dict[int, Tensor] = {}

    @classmethod
    def load(cls, folder: str | Path) -> Atlas:
        """Read the rows of a folder. Raises DataError if it was not built or is damaged."""
        folder = Path(folder)
        return cls(folder, *(_read_rows(folder / f"{n}.jsonl") for n in ("cutouts", "backgrounds", "photos")))

    def _decode(self, name: str, row: Row, mode: str) -> Tensor:
        if name not in self._bytes:
            self._bytes[name] = np.memmap(self.folder / f"{name}.bin", mode="r")
        data = self._bytes[name][row["offset"] : row["offset"] + row["size"]].tobytes()
        try:
            picture = Image.open(io.BytesIO(data)).convert(mode)
        except OSError:
            raise DataError(
                f"{self.folder / name}.bin is damaged at row {row['index']}: build the data again"
            ) from None
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()

    def image(self, i: int) -> Tensor:
        """Return cut-out i, uint8 [4, h, w], long side 128."""
        if i not in self._images:
            self._images[i] = self._decode("cutouts", self.rows[i], "RGBA")
        return self._images[i]

    def background(self, i: int) -> Tensor:
        """Return background i, uint8 [3, 448, 448]; a negative i is the procedural one of seed -1-i."""
        if i < 0:
            return procedural(-1 - i)
        if i not in self._grounds:
            self._grounds[i] = self._decode("backgrounds", self.backgrounds[i], "RGB")
        return self._grounds[i]

    def photo(self, i: int) -> Tensor:
        """Return unlabelled photograph i, uint8 [3, h, w]; it is not kept."""
        return self._decode("photos", self.photos[i], "RGB")
