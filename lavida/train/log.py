"""The log of a run: one JSON object a line, cut back to the checkpoint when a run is resumed.

{"event": "step", "step", "stage", "loss", "lr", "samples", "samples_per_s", "matmul_share", "buckets", ...}
{"event": "eval", "step", "loss", "captions": [{"image", "prompt", "truth", "answer"}], ...}
{"event": "skipped", "step", "name", "reason"}; {"event": "start" or "stop", "step", ...}
`step` counts over all stages; a "step" line holds the means since the one before.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lavida.train.task import BUCKETS

LOG = "log.jsonl"


class Watcher(Protocol):
    """Whoever else is told each line, such as TensorBoard."""

    def write(self, event: str, step: int, **fields: Any) -> None: ...


class Log:
    """Appends to `out/log.jsonl`; a process that is not the first of several keeps silent."""

    def __init__(self, out: Path, watchers: Sequence[Watcher] = (), *, silent: bool = False) -> None:
        self.path, self.watchers, self.silent = out / LOG, watchers, silent

    def write(self, event: str, step: int, **fields: Any) -> None:
        if self.silent:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "step": step, **_plain(fields)}, ensure_ascii=False) + "\n")
        for watcher in self.watchers:
            watcher.write(event, step, **fields)

    def cut(self, step: int) -> None:
        """Drop what was logged after a step, and a line that was not finished: the run goes on from there."""
        if self.silent or not self.path.exists():
            return
        kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _step(line) <= step]
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        os.replace(fresh, self.path)


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # the line at which the run was killed
        return math.inf


def _plain(value: Any) -> Any:
    """JSON has no NaN: such a number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


class Meter:
    """Sums over the steps since the last line; part of the checkpoint, so that a resumed run logs the same lines."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.steps, self.samples = 0, 0.0
        self.sums: dict[str, float] = {}
        self.buckets = torch.zeros(2, BUCKETS, dtype=torch.float64)

    def add(self, figures: Mapping[str, float], samples: float, buckets: Tensor | None) -> None:
        self.steps += 1
        self.samples += samples
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        if buckets is not None:
            self.buckets += buckets.to(self.buckets)

    def means(self) -> dict[str, float]:
        return {name: round(value / self.steps, 6) for name, value in self.sums.items()}

    def bucket_means(self) -> list[float | None]:
        total, number = self.buckets.tolist()
        return [round(t / n, 5) if n else None for t, n in zip(total, number)]

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "samples": self.samples, "sums": dict(self.sums), "buckets": self.buckets.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.samples, self.sums = state["steps"], state["samples"], dict(state["sums"])
        self.buckets = torch.tensor(state["buckets"], dtype=torch.float64)
