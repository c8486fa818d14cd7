"""The result of a benchmark, as it is written and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold one arm of a benchmark."""

    series: str  # the line of the chart that it belongs to
    x: float | str  # where it stands on that line
    values: tuple[float, ...]  # one of each round
    ratios: tuple[float, ...] = ()  # how many times as good as the base, round by round
    facts: Mapping[str, Any] = field(default_factory=dict)  # what was counted rather than timed

    @property
    def name(self) -> str:
        """The arm in words."""
        return f"{self.series}, {self.x:g}" if isinstance(self.x, (int, float)) else f"{self.series}, {self.x}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Hold the result of a benchmark."""

    name: str
    title: str
    x: str  # what `Row.x` is
    y: str  # what `Row.values` are, with their unit
    rows: tuple[Row, ...]
    base: str = ""  # what the ratios compare with
    notes: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """Read what `harness.write` wrote."""
        rows = (
            Row(**{**row, "values": tuple(row["values"]), "ratios": tuple(row["ratios"])}) for row in data.pop("rows")
        )
        return cls(**{**data, "rows": tuple(rows), "notes": tuple(data["notes"])})
