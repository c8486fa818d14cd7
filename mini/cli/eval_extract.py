"""`lavida eval extract --data build/documents --twin runs/ar/model`: fields read off documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.cli import options as o
from lavida.errors import RequestError


def evaluate(
    model: o.Model = "lavida-mini",
    twin: o.Twin = None,
    data: Annotated[Path, typer.Option(help="What `lavida data build documents` made.")] = Path("build/documents"),
    out: Annotated[Path, typer.Option(help="Where extract.json goes.")] = Path("build/eval"),
    count: Annotated[int, typer.Option(help="Documents of each split, at most.")] = 120,
) -> None:
    """Read receipts, tickets and labels of held-out values, fonts and layouts; how many fields are right."""
    if count < 1:
        raise RequestError(f"--count must be at least 1, got {count}")
    from mini.eval.documents import main

    main(model, data, out, twin_folder=twin, count=count)


app = o.application(evaluate)
