"""`lavida train report RUN`: loss, rates and held-out captions of a run on one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.cli.options import application

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, finished or not.")]
Out = Annotated[Path | None, typer.Option(help="The page. Default: RUN/report.html.")]


def report(run: Run, out: Out = None) -> None:
    """Draw a run's log.jsonl into one HTML page with its pictures; any browser opens it, without a network."""
    from lavida.train.report import write_report

    print(write_report(run, out))


app = application(report)
