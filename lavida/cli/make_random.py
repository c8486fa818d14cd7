"""`lavida make-random --family F --scale tiny|8b OUT`: a random checkpoint in a published layout, to test with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.cli import options as o

Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")]
Family = Annotated[
    str,
    typer.Option(
        help="lavida-llada, lavida-dream, lavida-fim, lavida-reason, lavida-lowres, llada-v, llada or dream.",
    ),
]
Scale = Annotated[str, typer.Option(help="tiny (about a megabyte) or 8b (the published size, about 16 GB).")]
Seed = Annotated[int, typer.Option(help="Of the weights.")]


def make_random(out: Out, family: Family, scale: Scale = "tiny", seed: Seed = 0) -> int:
    """Write random weights, the configuration as published, and a stand-in tokenizer with the special tokens."""
    from lavida.checkpoint.make_random import make_random as write

    write(family, scale, out, seed=seed)
    return 0


app = o.application(make_random)
