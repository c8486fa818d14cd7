"""Sets of the `datasets` library (an extra): saved folders, parquet files, the hub."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from lavida.data.samples import PICTURE_SIZE, BrokenSample, Picture, Sample, read_sample
from lavida.errors import DataError


def open_saved(path: Path, *, split: str) -> HubSource:
    """A folder that `save_to_disk` wrote. Raises DataError."""
    return _open(path.name, lambda datasets: datasets.load_from_disk(str(path)), split)


def open_parquet(path: Path) -> HubSource:
    """One parquet file. Raises DataError."""
    return _open(path.stem, lambda datasets: datasets.Dataset.from_parquet(str(path)), "train")


def open_hub(repository: str, *, split: str) -> HubSource:
    """OWNER/NAME of the hub, or OWNER/NAME/CONFIGURATION. Raises DataError."""
    owner, name, *rest = [*repository.split("/"), "", ""]
    configuration = [part for part in rest if part]
    if not owner or not name or len(configuration) > 1:
        raise DataError(f"hub:{repository}: not of the form hub:OWNER/NAME or hub:OWNER/NAME/CONFIGURATION")
    return _open(name, lambda datasets: datasets.load_dataset(f"{owner}/{name}", *configuration, split=split), split)


class HubSource:
    """Rows of a table whose columns are those of `lavida.data.samples`."""

    def __init__(self, table: Any, name: str, image_type: type) -> None:
        self.name = name
        shown = [column for column in ("image", "images") if column in table.column_names]
        for column in shown:  # decoded by us, where it is needed and whatever is wrong is told in one line
            table = table.cast_column(column, _undecoded(table.features[column], image_type))
        self._table, self._shown = table, shown
        self._words = table.select_columns([column for column in table.column_names if column not in shown])

    def __len__(self) -> int:
        return len(self._table)

    def size_of(self, index: int) -> int:
        return len(str(self._words[index])) + PICTURE_SIZE * bool(self._shown)

    def __getitem__(self, index: int) -> Sample:
        try:
            record = {name: value for name, value in self._table[index].items() if value is not None}
        except (OSError, ValueError) as error:  # of which arrow's errors are kinds
            raise BrokenSample("broken entry", f"the row cannot be read ({' '.join(str(error).split())})") from None
        return read_sample(record, f"{self.name}:{index}", _picture)


def _open(name: str, load: Any, split: str) -> HubSource:
    datasets = _library()
    try:
        table = load(datasets)
        if isinstance(table, datasets.DatasetDict):
            if split not in table:
                raise DataError(f"{name} has no split {split!r}; choose one of {', '.join(table)}")
            table = table[split]
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cannot read the data set {name} ({' '.join(str(error).split())})") from None
    if not len(table):
        raise DataError(f"the data set {name} is empty")
    return HubSource(table, name, datasets.Image)


def _library() -> ModuleType:
    try:
        import datasets
    except ImportError:
        raise DataError("this data set needs the datasets library: pip install 'lavida[datasets]'") from None
    return datasets


def _undecoded(feature: Any, image_type: type) -> Any:
    """The same feature with pictures left as bytes, in lists too."""
    if isinstance(feature, image_type):
        return image_type(decode=False)
    inner = getattr(feature, "feature", None)
    if isinstance(inner, image_type):
        return type(feature)(image_type(decode=False))
    return feature


def _picture(value: Any) -> Picture:
    if isinstance(value, dict) and value.get("bytes"):
        return value["bytes"]
    path = value.get("path") if isinstance(value, dict) else value
    if isinstance(path, bytes):
        return path
    if not isinstance(path, str) or not path:
        raise BrokenSample("broken entry", "a picture column holds neither bytes nor a path")
    return Path(path)
