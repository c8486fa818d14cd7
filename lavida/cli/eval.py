"""`lavida eval TASK DATA --out OUT`: run a benchmark from its own files, beside a model of transformers if asked to.

lavida eval coco coco/ --model lavida-mini --out runs/coco
lavida eval scienceqa ScienceQA/data --model owner/name --against llava-hf/llava-v1.6-vicuna-7b-hf --out runs/sqa
torchrun --nproc_per_node 8 -m lavida.cli.main eval vqav2 vqa/ --model owner/name --device cuda --out runs/vqa
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from lavida.cli import options as o
from lavida.cli.main import collect_garbage
from lavida.cli.output import as_line

QUESTIONS, RUN = "Questions", "Run"
FAILED = 1  # the exit code of a run that is finished and in which questions failed
EVERY = 10.0  # seconds between lines of progress

TaskName = Annotated[str, o.argument("TASK", "A benchmark: coco, vqav2, mmmu, ...; docs/evaluation.md lists them.")]
Data = Annotated[Path, o.argument("DATA", "The folder of its files, or the file of questions.")]
Out = Annotated[Path, o.option("Folder of answers, results.json and report.html; a run goes on there.", group=RUN)]
Images = Annotated[Path | None, o.option("Folder of the pictures. Default: beside the questions.", group=QUESTIONS)]
Split = Annotated[str | None, o.option("Which part of the benchmark. Default: the published one.", group=QUESTIONS)]
Limit = Annotated[int | None, o.option("Only so many questions, the first ones.", group=QUESTIONS)]
By = Annotated[str, o.option("generation, or likelihood: the likeliest of the options.", group=QUESTIONS)]
Suffix = Annotated[str, o.option('Follows each question, such as " /no_think".', group=QUESTIONS)]
Against = Annotated[str | None, o.option("An image-text-to-text model of transformers, folder or id.", group=RUN)]
Most = Annotated[int, o.option("Answers written side by side. 1 measures seconds too, after a warm-up.", group=RUN)]
Retry = Annotated[bool, o.option("Answer again what failed before.", "--retry", group=RUN)]
Restart = Annotated[bool, o.option("Drop the answers in OUT and begin anew.", "--restart", group=RUN)]


@o.command(o.decoding(), o.LOADING)
def eval(  # noqa: A001 - the name of the command
    task: TaskName,
    data: Data,
    out: Out,
    images: Images = None,
    split: Split = None,
    limit: Limit = None,
    by: By = "generation",
    suffix: Suffix = "",
    against: Against = None,
    most: Most = 1,
    retry: Retry = False,
    restart: Restart = False,
    **options: Any,
) -> int:
    """Run a benchmark. Exit code 0, or 1 if some questions could not be answered."""
    from lavida.eval.contest import Contest
    from lavida.eval.items import Source
    from lavida.eval.tasks.table import find_task

    collect_garbage()
    contest = Contest(
        task=find_task(task),
        source=Source(data=data, images=images, split=split),
        out=out,
        model=options["model"],
        loading={name: options[name] for name in o.LOADING if name != "model"},
        options={name: value for name, value in o.decode_arguments(options).items() if value is not None},
        against=against,
        limit=limit,
        by=by,
        suffix=suffix,
        most=most,
        retry=retry,
        restart=restart,
    )
    results = contest.run(Progress().show)
    if results is None:
        return 0
    print_results(results)
    print(f"{out}/report.html", file=sys.stderr)
    return FAILED if any(model["failed"] for model in results["models"].values()) else 0


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
