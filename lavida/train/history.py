"""A run's `log.jsonl` read back. A resumed run has cut it to its checkpoint, so that steps only ever grow."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavida.errors import DataError

LOG = "log.jsonl"
Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The steps of one stage, in order; never empty."""

    name: str
    steps: Sequence[Event]

    @property
    def start(self) -> int:
        return self.steps[0]["step"]

    @property
    def end(self) -> int:
        return self.steps[-1]["step"]


@dataclass(kw_only=True)
class History:
    """The events of a run by kind, each in the order of its steps."""

    steps: list[Event] = field(default_factory=list)
    evals: list[Event] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # name of a sample -> what was wrong with it
    starts: list[Event] = field(default_factory=list)
    end: Event | None = None  # how it stopped; None while it runs, or if it was killed

    def add(self, event: Event) -> None:
        """Take one more line. Raises KeyError or AttributeError if it is none of a training log."""
        kind = event.get("event")
        if kind in ("step", "eval"):
            (self.steps if kind == "step" else self.evals).append({**event, "step": int(event["step"])})
        elif kind == "skipped":
            self.skipped[str(event["name"])] = str(event["reason"])
        elif kind == "start":
            self.starts.append(event)
            self.end = None
        elif kind == "stop":
            self.end = event

    def stages(self) -> list[Stage]:
        """Neighbouring steps of the same stage together."""
        parts: list[list[Event]] = []
        for event in self.steps:
            if not parts or parts[-1][-1].get("stage") != event.get("stage"):
                parts.append([])
            parts[-1].append(event)
        return [Stage(name=str(part[0].get("stage", "")), steps=part) for part in parts]

    def curve(self, *path: str | int, evals: bool = False) -> list[tuple[float, float]]:
        """(step, value) wherever the field is a finite number; `path` leads into lists and dictionaries."""
        points = []
        for event in self.evals if evals else self.steps:
            value: Any = event
            for key in path:
                try:
                    value = value[key]
                except (KeyError, IndexError, TypeError):
                    value = None
            if is_number(value):
                points.append((float(event["step"]), float(value)))
        return points


def is_number(value: object) -> bool:
    """A finite int or float; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_history(run: Path) -> History:
    """The log of a run's folder; lines that a killed process left half-written are passed over.

    Raises DataError if there is no log, or if it holds no step.
    """
    path = run / LOG
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        raise DataError(f"no {LOG} in {run}; give the folder that `lavida train ... --out` wrote") from None
    except NotADirectoryError:
        raise DataError(f"{run} is a file; give the folder of the run") from None
    history = History()
    for line in lines:
        try:
            history.add(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    if not history.steps:
        raise DataError(f"{path} holds no step yet; let the run go on for a while first")
    return history
