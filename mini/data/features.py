"""Maps of the tower's trunk of scenes and photographs on disk, so that training need not draw and run it every time.

A folder holds `maps.bf16` (N x 5 x 196 x 80, raw) and `truth.jsonl` (one line a picture: the scene or the
photograph's label, and the class that the tower's own classifier gives it).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from lavida.errors import DataError
from lavida.model.efficientnet import TRUNK_SIDE, TRUNK_WIDTH
from mini.data.scenes import Placed, Scene

VIEWS, CELLS, CHANNELS = 5, TRUNK_SIDE**2, TRUNK_WIDTH


@dataclass(frozen=True, kw_only=True)
class PictureRecord:
    """Hold what is known of one picture: its scene (None for a photograph) and the classifier's first class."""

    scene: Scene | None
    label: int
    probability: float
    source: str = ""

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> PictureRecord:
        """Read a line that `to_json` wrote."""
        data = json.loads(line)
        if data["scene"] is not None:
            objects = tuple(Placed(**o) for o in data["scene"].pop("objects"))
            data["scene"] = Scene(objects=objects, **data["scene"])
        return cls(**data)


def five_views(picture: Tensor) -> Tensor:
    """Return the views [5, 3, 224, 224] of a picture [3, 448, 448] uint8: all of it, then its quarters row by row."""
    x = picture.float()
    small = torch.nn.functional.interpolate(x[None], size=(224, 224), mode="bicubic", antialias=True).clamp(0, 255)[0]
    tiles = x.unflatten(2, (2, 224)).unflatten(1, (2, 224)).permute(1, 3, 0, 2, 4).flatten(0, 1)
    return torch.cat((small[None], tiles))


def write_features(
    folder: Path,
    pictures: Iterator[tuple[Tensor, Scene | None, str]],
    tower: torch.nn.Module,
    *,
    batch: int = 8,
    log: Callable[[str], None] = print,
) -> int:
    """Run the trunk over pictures [3, 448, 448] and append its maps to `folder`; return the number of pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    _truncate(folder)
    start, done, waiting = time.time(), 0, []
    with open(folder / "maps.bf16", "ab") as file, open(folder / "truth.jsonl", "a") as records:

        def flush() -> None:
            nonlocal done
            views = torch.cat([five_views(p) for p, _, _ in waiting])
            with torch.inference_mode():
                maps = tower.trunk(((views - 127) / 128).to(next(tower.parameters()).dtype))
                top = tower.classify(maps[::VIEWS]).float().softmax(-1).max(-1)
            file.write(maps.to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())
            for (_, scene, source), p, i in zip(waiting, top.values.tolist(), top.indices.tolist(), strict=True):
                records.write(
                    PictureRecord(scene=scene, label=i, probability=round(p, 4), source=source).to_json() + "\n"
                )
            done += len(waiting)
            waiting.clear()

        for picture in pictures:
            waiting.append(picture)
            if len(waiting) == batch:
                flush()
                if done % (batch * 50) == 0:
                    log(f"{done} pictures, {done / (time.time() - start):.1f} a second")
        if waiting:
            flush()
    return done


def _truncate(folder: Path) -> None:
    """Cut off what an interrupted run left of a picture: a half line, maps without a line, lines without maps."""
    maps, records = folder / "maps.bf16", folder / "truth.jsonl"
    if not (maps.exists() and records.exists()):
        maps.unlink(missing_ok=True)
        records.unlink(missing_ok=True)
        return
    lines = [line for line in records.read_text().splitlines(keepends=True) if line.endswith("\n")]
    size = VIEWS * CELLS * CHANNELS * 2  # bytes of one picture
    whole = min(len(lines), maps.stat().st_size // size)
    records.write_text("".join(lines[:whole]))
    with open(maps, "r+b") as file:
        file.truncate(whole * size)


class Features:
    """Map a folder of trunk maps from disk. Raises DataError for a folder of an older version."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "maps.bf16").is_file():
            raise DataError(f"{folder} has no maps.bf16: an older version; delete it and run the command again")
        self.records = [PictureRecord.from_json(line) for line in open(folder / "truth.jsonl")]
        flat = torch.from_file(
            str(folder / "maps.bf16"), dtype=torch.bfloat16, size=(folder / "maps.bf16").stat().st_size // 2
        )
        self.maps = flat.view(len(self.records), VIEWS, CELLS, CHANNELS)

    def __len__(self) -> int:
        return len(self.records)
