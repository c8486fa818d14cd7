"""Names of the classes that a tower was pretrained to distinguish; they become the hint of lavida-mini."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavida.errors import CheckpointError

LABELS = "labels.json"
ANYTHING = ("thing", "物品")  # kinds without information


@dataclass(frozen=True, kw_only=True)
class Label:
    """Describe one class: its common name and the kinds it belongs to, most special first, in several languages."""

    name: str
    kinds: tuple[str, ...]
    others: Mapping[str, Label] = field(default_factory=dict, hash=False)  # language -> the class in it

    @property
    def specific(self) -> list[str]:
        """Return the kinds that carry information."""
        return [k for k in self.kinds if k not in ANYTHING]

    @property
    def kind(self) -> str:
        """Return the most special kind, or ""."""
        return next(iter(self.specific), "")

    def said_in(self, language: str) -> Label:
        """Return the class in a language; in English if it has no name there."""
        return self.others.get(language, self)


def load_labels(folder: Path) -> list[Label] | None:
    """Return the labels of a folder, None if it has none. Raises CheckpointError for a file that is damaged."""
    path = folder / LABELS
    if not path.is_file():
        return None
    try:
        labels = [_read(row) for row in json.loads(path.read_bytes())]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path} ({error!r}); take the file that belongs to the model") from None
    return labels


def save_labels(labels: list[Label], folder: Path) -> None:
    """Write the file that `load_labels` reads."""
    rows = [_row(label) for label in labels]
    (folder / LABELS).write_text(json.dumps(rows, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(row: dict[str, Any]) -> Label:
    others = {language: _read(other) for language, other in row.get("others", {}).items()}
    return Label(name=row["name"], kinds=tuple(row["kinds"]), others=others)


def _row(label: Label) -> dict[str, Any]:
    row: dict[str, Any] = {"name": label.name, "kinds": label.kinds}
    if label.others:
        row["others"] = {language: _row(other) for language, other in label.others.items()}
    return row
