"""`lavida eval poem --data build/mini --twin runs/ar/model`: poems whose lines must begin as told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.cli import options as o
from lavida.errors import RequestError


def evaluate(
    model: o.Model = "lavida-mini",
    twin: o.Twin = None,
    data: Annotated[Path, typer.Option(help="What `lavida data build mini` made.")] = Path("build/mini"),
    out: Annotated[Path, typer.Option(help="Where poem.json goes.")] = Path("build/eval"),
    count: Annotated[int, typer.Option(help="Pictures.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the starts drawn for each picture.")] = 0,
) -> None:
    """Write a poem about each picture in every way, and tell how often the lines begin as they should."""
    if count < 1:
        raise RequestError(f"--count must be at least 1, got {count}")
    from mini.eval.poem import main

    main(model, data, out, twin_folder=twin, count=count, seed=seed)


app = o.application(evaluate)
