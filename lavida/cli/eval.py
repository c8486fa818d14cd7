"""`lavida eval TASK DATA --out OUT`: run a benchmark from its own files, beside a model of transformers if asked to.

lavida eval coco coco/ --model lavida-mini --out runs/coco
lavida eval scienceqa ScienceQA/data --model owner/name --against llava-hf/llava-v1.6-vicuna-7b-hf --out runs/sqa
lavida eval papers/lavida benchmarks/ --model owner/name --out runs/paper
lavida eval vqav2 vqa/ --model owner/name --device cuda --out runs/vqa --ray auto --workers 8
torchrun --nproc_per_node 8 -m lavida.cli.main eval vqav2 vqa/ --model owner/name --device cuda --out runs/vqa
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.cli.main import collect_garbage
from lavida.cli.output import as_line
from lavida.errors import RequestError

if TYPE_CHECKING:
    from lavida.eval.contest import Contest

QUESTIONS, RUN = "Questions", "Run"
FAILED = 1  # the exit code of a run that is finished and in which questions failed
WRITE = "generation"
EVERY = 10.0  # seconds between lines of progress

TaskName = Annotated[str, o.argument("TASK", "coco, vqav2, mmmu, ... (docs/evaluation.md), or papers/lavida.")]
Data = Annotated[
    Path, o.argument("DATA", "Folder of its files, or the file of questions; for a paper, of such folders.")
]
Out = Annotated[Path, o.option("Folder of answers, results.json and report.html; a run goes on there.", group=RUN)]
Images = Annotated[Path | None, o.option("Folder of the pictures. Default: beside the questions.", group=QUESTIONS)]
Split = Annotated[str | None, o.option("Which part of the benchmark. Default: the published one.", group=QUESTIONS)]
Limit = Annotated[int | None, o.option("Only so many questions, the first ones.", group=QUESTIONS)]
By = Annotated[str, o.option("generation, or likelihood: the likeliest of the options.", group=QUESTIONS)]
Suffix = Annotated[str, o.option('Follows each question, such as " /no_think".', group=QUESTIONS)]
Against = Annotated[str | None, o.option("An image-text-to-text model of transformers, folder or id.", group=RUN)]
Most = Annotated[int, o.option("Answers written side by side. 1 measures seconds too, after a warm-up.", group=RUN)]
Row = Annotated[str | None, o.option("Only this row of a paper.", group=RUN)]
Retry = Annotated[bool, o.option("Answer again what failed before.", "--retry", group=RUN)]
Restart = Annotated[bool, o.option("Drop the answers in OUT and begin anew.", "--restart", group=RUN)]


@o.command(o.CLUSTER, o.decoding(), o.LOADING)
def eval(  # noqa: A001 - the name of the command
    task: TaskName,
    data: Data,
    out: Out,
    images: Images = None,
    split: Split = None,
    limit: Limit = None,
    by: By = WRITE,
    suffix: Suffix = "",
    against: Against = None,
    most: Most = 1,
    row: Row = None,
    retry: Retry = False,
    restart: Restart = False,
    **options: Any,
) -> int:
    """Run a benchmark. Exit code 0, or 1 if some questions could not be answered."""
    from lavida.eval.contest import Contest
    from lavida.eval.items import Source
    from lavida.eval.tasks.table import TASKS, find_task

    cluster = o.cluster_of(options)
    collect_garbage()
    is_paper = task.startswith("papers/")
    given = {name: value for name, value in o.decode_arguments(options).items() if value is not None}
    if is_paper:
        _refuse(given | {"split": split, "suffix": suffix or None, "images": images, "by": None if by == WRITE else by})
    elif row is not None:
        raise RequestError("--row names a row of a paper; leave it out")
    contest = Contest(
        task=TASKS["coco"] if is_paper else find_task(task),
        source=Source(data=data, images=images, split=split),
        out=out,
        model=options["model"],
        loading={name: options[name] for name in o.LOADING if name != "model"},
        options=given,
        against=against,
        limit=limit,
        by=by,
        suffix=suffix,
        most=most,
        retry=retry,
        restart=restart,
        cluster=cluster,
    )
    if is_paper:
        return _paper(task, contest, row)
    results = contest.run(Progress().show)
    if results is None:
        return 0
    print_results(results)
    print(f"{out}/report.html", file=sys.stderr)
    return FAILED if any(model["failed"] for model in results["models"].values()) else 0


def _refuse(settings: Mapping[str, Any]) -> None:
    """Raise RequestError for a setting that the rows of a paper have of their own."""
    given = next((name for name, value in settings.items() if value is not None), None)
    if given is not None:
        raise RequestError(f"each row of a paper has its own --{given}; leave it out")


def _paper(name: str, base: Contest, row: str | None) -> int:
    """Run the rows of a paper, and print a line for each."""
    from lavida.eval.papers import run_paper

    run_paper(name, base.source.data, base, only=row, report_line=lambda line: print(line, flush=True))
    return 0


def print_results(results: Mapping[str, Any]) -> None:
    """Print the figures of all models, a line each model."""
    from lavida.eval.report import shown
    from lavida.eval.tasks.table import find_task

    unit = find_task(results["task"]).unit
    for name, model in results["models"].items():
        figures = {key: shown(value, unit) for key, value in model["figures"].items()}
        main = figures.pop(results["main"], "-")
        rest = as_line({results["main"]: main, **figures, "nfe": shown(model["cost"]["nfe"], "")})
        failed = f"; {model['failed']} of {results['questions']} failed" if model["failed"] else ""
        print(f"{name}: {rest}{failed}")


class Progress:
    """Print how far a run is, as a line on standard error every few seconds."""

    def __init__(self, every: float = EVERY) -> None:
        self._every, self._last = every, time.monotonic()

    def show(self, name: str, done: int, total: int, failed: int) -> None:
        """Print the line, if the last one was long enough ago."""
        now = time.monotonic()
        if now >= self._last + self._every:
            self._last = now
            print(f"{name}: {done} of {total}, {failed} failed", file=sys.stderr, flush=True)
