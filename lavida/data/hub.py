"""Read sets of the `datasets` library (an extra): saved folders, parquet files, the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from lavida.data.samples import PICTURE_SIZE, Picture, Sample, broken, read_sample
from lavida.errors import DataError


def open_saved(path: Path, *, split: str, images: Path | None = None) -> HubSource:
    """Open a folder that `save_to_disk` wrote. Raises DataError."""
    return _open(path.name, lambda datasets: datasets.load_from_disk(str(path)), split, images)


def open_parquet(path: Path, *, images: Path | None = None) -> HubSource:
    """Open one parquet file; pictures named by a relative path lie in `images` or beside it. Raises DataError."""
    return _open(path.stem, lambda datasets: datasets.Dataset.from_parquet(str(path)), "train", images or path.parent)


def open_hub(repository: str, *, split: str, images: Path | None = None) -> HubSource:
    """Open OWNER/NAME of the hub, or OWNER/NAME/CONFIGURATION. Raises DataError."""
    owner, name, *rest = [*repository.split("/"), "", ""]
    configuration = [part for part in rest if part]
    if not owner or not name or len(configuration) > 1:
        raise DataError(f"hub:{repository}: not of the form hub:OWNER/NAME or hub:OWNER/NAME/CONFIGURATION")
    path = f"{owner}/{name}"
    return _open(name, lambda datasets: datasets.load_dataset(path, *configuration, split=split), split, images)


class HubSource:
    """Read rows of a table with the columns of `lavida.data.samples`; no picture is decoded before it is needed."""

    def __init__(self, table: Any, name: str, images: Path | None = None) -> None:
        self.name, self._images = name, images
        self._table = table.with_format("arrow")
        self._shown = [column for column in ("image", "images") if column in table.column_names]
        self._words = self._table.select_columns([c for c in table.column_names if c not in self._shown])

    def __len__(self) -> int:
        return len(self._table)

    def size_of(self, index: int) -> int:
        """Return about how many letters long a row is."""
        return _letters(_row(self._words, index)) + PICTURE_SIZE * bool(self._shown)

    def stamp(self) -> str:
        """Return the columns and the bytes of the table."""
        return f"{', '.join(self._table.column_names)}: {self._table.data.nbytes} bytes"

    def __getitem__(self, index: int) -> Sample:
        try:
            record = _row(self._table, index)
        except (OSError, ValueError) as error:  # of which arrow's errors are kinds
            raise broken(f"the row cannot be read ({' '.join(str(error).split())})") from None
        if record.get("image") is None and record.get("answer") is None:  # a dialogue without a picture is so stored
            record.pop("image", None)
        return read_sample(record, f"{self.name}:{index}", self._find)

    def _find(self, path: str) -> Picture:
        if self._images is None or (not (self._images / path).exists() and Path(path).exists()):
            return Path(path)
        return self._images / path


def _row(table: Any, index: int) -> dict[str, Any]:
    if not table.column_names:
        return {}
    (row,) = table[index : index + 1].to_pylist()
    return row


def _letters(value: Any) -> int:
    """Return the length of the texts within a value; bytes are those of a picture."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, bytes):
        return PICTURE_SIZE
    if isinstance(value, Mapping):
        return sum(map(_letters, value.values()))
    return sum(map(_letters, value)) if isinstance(value, (list, tuple)) else 1


def _open(name: str, load: Callable[[ModuleType], Any], split: str, images: Path | None) -> HubSource:
    try:
        import datasets
    except ImportError:
        raise DataError("this data set needs the datasets library: pip install 'lavida[datasets]'") from None
    try:
        table = load(datasets)
        if isinstance(table, datasets.DatasetDict):
            if split not in table:
                raise DataError(f"{name} has no split {split!r}; choose one of {', '.join(table)}")
            table = table[split]
    except (OSError, ValueError, KeyError, TypeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cannot read the data set {name} ({' '.join(str(error).split()):.300})") from None
    if not len(table):
        raise DataError(f"the data set {name} is empty")
    return HubSource(table, name, images)
