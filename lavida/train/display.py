"""What is seen of a run: a bar with loss, pace and time left at a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from lavida.train.task import Plan


class Display:
    """Silent on all but the first process; `say` takes each line where nobody watches."""

    def __init__(self, say: Callable[[str], None], *, silent: bool = False) -> None:
        self._say, self._silent = say, silent
        self._bar: Any = None
        self._task: Any = None
        self._plan: Plan | None = None

    def __enter__(self) -> Display:
        if not self._silent and self._say is print and sys.stdout.isatty():
            from rich import progress

            columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn(compact=True))
            told = progress.TextColumn("{task.fields[told]}", markup=False)
            self._bar = progress.Progress(progress.TextColumn("{task.description}"), *columns, told)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def begin(self, plan: Plan, step: int) -> None:
        self._plan = plan
        if self._bar is not None:
            self._task = self._bar.add_task(plan.name, total=plan.steps, completed=step, told="")

    def step(self, step: int, means: Mapping[str, float], pace: float, share: float) -> None:
        """The means of the last steps, samples a second, share of the matmul peak."""
        figures = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        told = f"{figures}, {pace:.1f} samples/s, {share:.0%} of peak"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, told=told)
        else:
            self.note(f"{self._plan.name} {step}/{self._plan.steps}: {told}")

    def evaluated(self, figures: Mapping[str, Any]) -> None:
        """Figures of what is held out, and the first captions."""
        numbers = ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if isinstance(v, float))
        self.note(f"held out: {numbers}")
        for caption in figures.get("captions", ())[:4]:
            self.note(f"  {caption['image']}: {caption['answer']!r} (true: {caption['truth']!r})")

    def note(self, line: str) -> None:
        if self._silent:
            return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            self._say(line)
