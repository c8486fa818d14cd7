"""The log of a run: lines of JSON in a file, TensorBoard, and the display at a terminal.

{"event": "step", "step", "stage", "loss", "lr", "samples", "samples_per_s", "matmul_share", "buckets", ...}
{"event": "eval", "step", "loss", "captions": [{"image", "prompt", "truth", "answer"}], ...}
{"event": "skipped", "step", "name", "reason"}; {"event": "changed", "step", "name", "before", "now"}
{"event": "start" or "stop", "step", ...}

`step` counts over all stages; a "step" line holds the means since the one before. A resumed run cuts the file back to
its checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lavida.errors import RequestError
from lavida.train.task import BUCKETS, Plan

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG = "log.jsonl"
TENSORBOARD = "tensorboard"  # folder of the event files


class Log:
    """Append lines to `out/log.jsonl` and to `board`, if there is one; only the first of several processes writes."""

    def __init__(self, out: Path, *, silent: bool = False) -> None:
        self.path, self.silent = out / LOG, silent
        self.board: TensorBoard | None = None

    def write(self, event: str, step: int, **fields: Any) -> None:
        """Write one line."""
        if self.silent:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "step": step, **_plain(fields)}, ensure_ascii=False) + "\n")
        if self.board is not None:
            self.board.write(event, step, **fields)

    def cut(self, step: int) -> None:
        """Drop the lines after a step, and a line that was not finished: the run goes on from there."""
        if self.silent or not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(line + "\n" for line in lines if _step(line) <= step), encoding="utf-8")
        os.replace(fresh, self.path)


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the line at which the run was killed
        return math.inf


def _plain(value: Any) -> Any:
    """Return the value with null for numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


class Meter:
    """Sum figures over the steps since the last line; part of a checkpoint, so that a resumed run logs the same."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new line."""
        self.steps, self.sums = 0, dict[str, float]()
        self.buckets = torch.zeros(2, BUCKETS, dtype=torch.float64)

    def add(self, figures: Mapping[str, float], buckets: Tensor) -> None:
        """Add the figures of one step."""
        self.steps += 1
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.buckets += buckets

    def means(self) -> dict[str, float]:
        """Return the mean of each figure."""
        return {name: round(value / self.steps, 6) for name, value in self.sums.items()}

    def bucket_means(self) -> list[float | None]:
        """Return the mean token loss of each range of masking probabilities; None where there was no token."""
        total, number = self.buckets.tolist()
        return [round(t / n, 5) if n else None for t, n in zip(total, number)]

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as plain values."""
        return {"steps": self.steps, "sums": dict(self.sums), "buckets": self.buckets.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from saved sums."""
        self.steps, self.sums = state["steps"], dict(state["sums"])
        self.buckets = torch.tensor(state["buckets"], dtype=torch.float64)


class TensorBoard:
    """Write event files to `out/tensorboard`; lines of an earlier process after step `since` are hidden."""

    def __init__(self, out: Path, *, since: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RequestError("TensorBoard is not installed; pip install 'lavida[tensorboard]'") from None
        self._writer = SummaryWriter(str(out / TENSORBOARD), purge_step=since + 1)

    def write(self, event: str, step: int, **fields: Any) -> None:
        """Write the numbers of a line as scalars and its captions as text."""
        for name, value in _numbers(event, fields):
            self._writer.add_scalar(name, value, step)
        for i, caption in enumerate(fields.get("captions") or ()):
            text = "\n\n".join(f"{key}: {value}" for key, value in caption.items())
            self._writer.add_text(f"captions/{i}", text, step)
        self._writer.flush()


def _numbers(group: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield every number, named by its place: step/loss, step/lr/projector, step/buckets/3."""
    for name, value in fields.items():
        nested = dict(enumerate(value)) if isinstance(value, (list, tuple)) else value
        if isinstance(nested, Mapping):
            yield from _numbers(f"{group}/{name}", {str(key): inner for key, inner in nested.items()})
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{group}/{name}", float(value)


class Display:
    """Show a run: a bar with loss, pace and time left at a terminal, plain lines through `say` elsewhere.

    Only the first of several processes shows anything.
    """

    def __init__(self, say: Callable[[str], None], *, silent: bool = False) -> None:
        self._say, self._silent = say, silent
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Display:
        if not self._silent and self._say is print and sys.stdout.isatty():
            from rich import progress

            columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn(compact=True))
            figures = progress.TextColumn("{task.fields[figures]}", markup=False)
            self._bar = progress.Progress(progress.TextColumn("{task.description}"), *columns, figures)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def begin(self, plan: Plan, step: int) -> None:
        """Begin a stage at a step."""
        if self._bar is not None:
            self._task = self._bar.add_task(plan.name, total=plan.steps, completed=step, figures="")

    def step(self, plan: Plan, step: int, means: Mapping[str, float], pace: float, share: float) -> None:
        """Show the means of the last steps, samples a second, and the share of the matmul peak."""
        named = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        figures = f"{named}, {pace:.1f} samples/s, {share:.0%} of peak"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, figures=figures)
        else:
            self.note(f"{plan.name} {step}/{plan.steps}: {figures}")

    def evaluated(self, figures: Mapping[str, Any]) -> None:
        """Show held-out figures and the first captions."""
        numbers = ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if isinstance(v, float))
        self.note(f"held out: {numbers}")
        for caption in figures.get("captions", ())[:4]:
            self.note(f"  {caption['image']}: {caption['answer']!r} (true: {caption['truth']!r})")

    def note(self, line: str) -> None:
        """Show one line."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        elif not self._silent:
            self._say(line)
