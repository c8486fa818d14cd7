"""`lavida train mini --data build/mini --out runs/mini`: train lavida-mini, or go on with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.cli.options import application
from lavida.errors import RequestError


def train(
    data: Annotated[Path, typer.Option(help="What `lavida data build mini` made.")] = Path("build/mini"),
    out: Annotated[Path, typer.Option(help="Folder of the run; a checkpoint in it is resumed.")] = Path("runs/mini"),
    minutes: Annotated[float | None, typer.Option(help="Stop after so long, with a checkpoint.")] = None,
    scenes: Annotated[int, typer.Option(help="Drawn scenes for training.")] = 14000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    start: Annotated[
        str | None, typer.Option("--from", help="Model to go on from, by the last stage alone; e.g. lavida-mini.")
    ] = None,
    objective: Annotated[
        str, typer.Option(help="default, ar (the autoregressive twin), independent, 1/t or full (ablations).")
    ] = "default",
    compiled: Annotated[
        bool, typer.Option("--compile", help="torch.compile: half as fast again, needs a C++ compiler.")
    ] = False,
) -> None:
    """Train lavida-mini from its data set; a finished run is written to OUT/model, ready for --model."""
    if scenes < 1:
        raise RequestError(f"--scenes must be at least 1, got {scenes}")
    from lavida.checkpoint.named import find_model
    from mini.train.run import train_mini

    chosen = None if start is None else find_model(start)
    train_mini(
        data, out, minutes=minutes, scenes=scenes, seed=seed, device=device, start=chosen, compiled=compiled,
        objective=objective,
    )  # fmt: skip


app = application(train)
