"""`lavida train mini --data build/mini --out runs/mini`: train lavida-mini, or go on with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.cli.options import application
from lavida.errors import RequestError


def train(
    recipe: Annotated[str, typer.Argument(help="What to train: mini.")],
    data: Annotated[Path, typer.Option(help="What `lavida data build mini` made.")] = Path("build/mini"),
    out: Annotated[Path, typer.Option(help="Folder of the run; a checkpoint in it is resumed.")] = Path("runs/mini"),
    minutes: Annotated[float | None, typer.Option(help="Stop after so long, with a checkpoint.")] = None,
    scenes: Annotated[int, typer.Option(help="Drawn scenes for training.")] = 7000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train by a recipe; a finished run is written to OUT/model, ready for --model."""
    if recipe != "mini":
        raise RequestError(f"unknown recipe {recipe!r}; choose mini")
    if scenes < 1:
        raise RequestError(f"--scenes must be at least 1, got {scenes}")
    from lavida.train.mini import train_mini

    train_mini(data, out, minutes=minutes, scenes=scenes, seed=seed, device=device)


app = application(train)
