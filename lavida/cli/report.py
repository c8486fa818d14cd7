"""`lavida train report RUN`: loss, rates and held-out captions of a run on one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lavida.cli import options as o


def report(
    run: Annotated[Path, o.argument("RUN", "Folder of a run, finished or not.")],
    out: Annotated[Path | None, o.option("The page. Default: RUN/report.html.")] = None,
) -> None:
    """Draw a run's log.jsonl into one HTML page with its pictures; any browser opens it, without a network."""
    from lavida.train.report import write_report

    print(write_report(run, out))


app = o.application(report)
