"""Results of claims: comparisons with their intervals, and the verdict that follows from them by a written rule."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from benchmarks.report import Report
from lavida.errors import LavidaError
from lavida.eval.intervals import interval

BY_SEED = Sequence[Sequence[float]]  # a value of each question, for each seed
HOLDS, PART, NOT, UNKNOWN = "holds", "holds in part", "does not hold here", "cannot be told here"
RULE = """\
Each claim is a list of comparisons. A comparison is a mean over questions (most often the difference of two settings on
the same question), its 95 % bootstrap interval over all questions of all seeds (`lavida/eval/intervals.py`), and the
mean of each seed alone. It is

- **yes** if the interval lies wholly on the paper's side of the bound and the mean of every seed does too,
- **no** if the interval lies wholly on the other side and the mean of every seed does too,
- **open** otherwise.

The verdict is *holds* if all comparisons are yes, *holds in part* if some are, *does not hold here* if none is and one
is no, *cannot be told here* if all are open."""


class NotMeasuredError(LavidaError):
    """Report that a claim cannot be measured with what is there, and what it would take."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Hold one comparison: the mean of values, which the paper says to lie above a bound."""

    name: str
    paper: str  # what the paper reports of it
    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]  # the mean of each seed
    n: int
    bound: float = 0.0
    reached: bool = False  # whether the bound itself is on the paper's side

    @property
    def outcome(self) -> str:
        """Return yes, no or open."""
        if all(map(self._above, (self.low, *self.seeds))):
            return "yes"
        return "no" if all(value < self.bound for value in (self.high, *self.seeds)) else "open"

    def _above(self, value: float) -> bool:
        return value >= self.bound if self.reached else value > self.bound


def check(name: str, values: BY_SEED, *, paper: str = "-", bound: float = 0.0, reached: bool = False) -> Check:
    """Return the comparison of values with a bound."""
    flat = list(chain.from_iterable(values))
    low, high = interval(flat)
    seeds = tuple(statistics.fmean(own) for own in values)
    return Check(
        name=name, paper=paper, mean=statistics.fmean(flat), low=low, high=high, seeds=seeds, n=len(flat), bound=bound,
        reached=reached,
    )  # fmt: skip


def paired(ours: BY_SEED, theirs: BY_SEED) -> list[list[float]]:
    """Return the differences on the same questions."""
    return [[a - b for a, b in zip(*own, strict=True)] for own in zip(ours, theirs, strict=True)]


def verdict(checks: Sequence[Check]) -> str:
    """Return the verdict of a claim, by RULE."""
    outcomes = {one.outcome for one in checks}
    if "yes" in outcomes:
        return HOLDS if outcomes == {"yes"} else PART
    return NOT if "no" in outcomes else UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Table:
    """Hold a table of what was measured; cells are texts or numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold what was measured of one claim."""

    claim: str
    measured: str  # what was done, with the number of questions
    checks: tuple[Check, ...]
    tables: tuple[Table, ...] = ()
    charts: tuple[Report, ...] = ()
    notes: tuple[str, ...] = ()
    setting: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """Return the verdict."""
        return verdict(self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON has it, with outcomes and verdict."""
        data = asdict(self)
        for written, one in zip(data["checks"], self.checks, strict=True):
            written["outcome"] = one.outcome
        return data | {"verdict": self.verdict}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """Read what `to_json` wrote; outcomes and verdict are computed anew."""
        data = {name: value for name, value in data.items() if name != "verdict"}
        checks = [{name: value for name, value in one.items() if name != "outcome"} for one in data.pop("checks")]
        return cls(
            checks=tuple(Check(**one | {"seeds": tuple(one["seeds"])}) for one in checks),
            tables=tuple(
                Table(head=tuple(t["head"]), rows=tuple(map(tuple, t["rows"])), title=t["title"])
                for t in data.pop("tables")
            ),
            charts=tuple(map(Report.from_json, data.pop("charts"))),
            notes=tuple(data.pop("notes")),
            **data,
        )


def mean_of(values: BY_SEED) -> float:
    """Return the mean over all questions of all seeds."""
    return statistics.fmean(chain.from_iterable(values))


def seed_means(values: BY_SEED) -> tuple[float, ...]:
    """Return the mean of each seed."""
    return tuple(map(statistics.fmean, values))
