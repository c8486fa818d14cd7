"""The classes that a tower was pretrained to tell apart: their names, which become the hint of lavida-mini."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lavida.errors import CheckpointError

LABELS = "labels.json"


@dataclass(frozen=True, kw_only=True)
class Label:
    """One class: the name people use and the kinds it belongs to, most special first."""

    name: str
    kinds: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The most special kind that says something, or ""."""
        return next((k for k in self.kinds if k != "thing"), "")


def load_labels(folder: Path) -> list[Label] | None:
    """The labels of a folder, None if it has none. Raises CheckpointError for a file that is damaged."""
    path = folder / LABELS
    if not path.is_file():
        return None
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        labels = [Label(name=row["name"], kinds=tuple(row["kinds"])) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"cannot read {path} ({error!r}); take the file that belongs to the model") from None
    return labels


def save_labels(labels: list[Label], folder: Path) -> None:
    """Write `load_labels`' file."""
    (folder / LABELS).write_text(json.dumps([asdict(label) for label in labels]) + "\n", encoding="utf-8")
