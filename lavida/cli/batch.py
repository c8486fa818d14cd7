"""`lavida batch IN OUT`: one question about thousands of pictures, an output line each; run it again to go on.

lavida batch photos/ answers.jsonl --question "What is this?"
lavida batch shards-{000..031}.tar answers.jsonl --schema form.json --steps 8
lavida batch requests.jsonl answers.jsonl --ray local --workers 2
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.cli.main import collect_garbage

if TYPE_CHECKING:
    from rich.progress import Progress

    from lavida.batch.run import Prepared

JOB = "Job"
EVERY = 10.0  # seconds between lines of progress, where there is no terminal
FAILED = 1  # the exit code of a job that is finished and holds errors

In = Annotated[
    str,
    o.argument("IN", "A folder of pictures, JSON lines, tar shards such as 'set-{000..031}.tar', or parquet files."),
]
Out = Annotated[Path, o.argument("OUT", "JSON lines. If it exists, the job that began it goes on.")]
Question = Annotated[str | None, o.option("Asked of inputs without one. Default: to describe the picture.", group=JOB)]
Images = Annotated[str | None, o.option("Folder of the pictures that lines name. Default: that of IN.", group=JOB)]
Most = Annotated[int | None, o.option("Answers written side by side. Default: 8, or what memory allows.", group=JOB)]
Readers = Annotated[int, o.option("Threads that open pictures ahead.", group=JOB)]
Retry = Annotated[bool, o.option("Answer again what failed before.", "--retry", group=JOB)]
Restart = Annotated[bool, o.option("Drop what OUT holds and begin anew.", "--restart", group=JOB)]
CALIBRATED = {"quality": o.CALIBRATED["quality"]}  # a deadline is about one answer alone


@o.command(o.CLUSTER, o.decoding(), CALIBRATED, o.CONSTRAINED, o.LOADING)
def batch(
    source: In,
    out: Out,
    question: Question = None,
    images: Images = None,
    most: Most = None,
    readers: Readers = 2,
    retry: Retry = False,
    restart: Restart = False,
    **options: Any,
) -> int:
    """Answer about each input of a job, exactly once. Exit code 0, or 1 if some inputs failed."""
    cluster = o.cluster_of(options)
    from lavida.api import DESCRIBE
    from lavida.batch.job import Job
    from lavida.batch.run import prepare

    collect_garbage()
    job = Job(
        inputs=source,
        out=out,
        images=images,
        question=DESCRIBE if question is None else question,
        options=o.decode_arguments(options),
        model=options["model"],
        loading={name: options[name] for name in o.LOADING if name != "model"},
        most=most,
        readers=readers,
        restart=restart,
        retry=retry,
        cluster=cluster,
    )
    with prepare(job) as prepared:
        _tell_start(prepared)
        output, total = prepared.output, len(prepared.inputs)
        try:
            with _progress(total, output.done.marked) as meter:
                for _ in prepared.lines():
                    meter.show(output.done.marked, output.failed)
        except KeyboardInterrupt:
            print(f"\n{out} holds {output.done.marked} of {total} answers; the same command goes on", file=sys.stderr)
            raise
        failed = output.failed
    failures = f", {failed} of them failed; --retry asks these again" if failed else ""
    print(f"{out}: {total} inputs{failures}", file=sys.stderr)
    return FAILED if failed else 0


def _tell_start(prepared: Prepared) -> None:
    """Say what is passed over, and where the job goes on."""
    unread, output = prepared.inputs.unread, prepared.output
    if unread:
        named = ", ".join(unread[:6]) + ", ..." * (len(unread) > 6)
        print(f"not read of the {prepared.inputs.kind} input: {named}", file=sys.stderr)
    if output.done.marked:
        torn = f", a torn line of {output.cut} bytes cut off" if output.cut else ""
        print(f"{output.path} holds {output.done.marked} of {output.done.count} answers{torn}", file=sys.stderr)


class Lines:
    """Print how far a job is, as a line on standard error every few seconds."""

    def __init__(self, total: int, done: int, every: float = EVERY) -> None:
        self._total, self._first, self._every = total, done, every
        self._start = self._last = time.monotonic()

    def show(self, done: int, failed: int) -> None:
        """Print the line, if the last one was long enough ago."""
        now = time.monotonic()
        if now < self._last + self._every:
            return
        self._last = now
        rate = (done - self._first) / (now - self._start)
        left = duration((self._total - done) / rate) if rate else "?"
        print(f"{done} of {self._total}, {failed} failed, {rate:.2f}/s, {left} left", file=sys.stderr, flush=True)


class Bar:
    """Show how far a job is as a bar of rich."""

    def __init__(self, bar: Progress, total: int, done: int) -> None:
        self._bar, self._task = bar, bar.add_task("", total=total, completed=done, failed=0)

    def show(self, done: int, failed: int) -> None:
        """Draw the bar; rich limits how often."""
        self._bar.update(self._task, completed=done, failed=failed)


@contextmanager
def _progress(total: int, done: int) -> Iterator[Lines | Bar]:
    """Yield a meter: a bar in a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield Lines(total, done)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    failed = TextColumn("{task.fields[failed]} failed")
    columns = (BarColumn(), MofNCompleteColumn(), failed, TimeRemainingColumn(elapsed_when_finished=True))
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(bar, total, done)


def duration(seconds: float) -> str:
    """Return a time in words: 42 s, 3 min 20 s, 5 h 10 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
