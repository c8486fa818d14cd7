"""`lavida make-random --family F --scale tiny|8b OUT`: a random checkpoint in a published layout, to test with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lavida.cli import options as o

FAMILIES = "lavida-llada, lavida-dream, lavida-fim, lavida-reason, lavida-lowres, llada-v, llada or dream."


def make_random(
    out: Annotated[Path, o.argument("OUT", "A new folder.")],
    family: Annotated[str, o.option(FAMILIES)],
    scale: Annotated[str, o.option("tiny (about a megabyte) or 8b (the published size, about 16 GB).")] = "tiny",
    seed: Annotated[int, o.option("Of the weights.")] = 0,
) -> int:
    """Write random weights, the configuration as published, and a stand-in tokenizer with the special tokens."""
    from lavida.checkpoint.make_random import make_random as write

    write(family, scale, out, seed=seed)
    return 0


app = o.application(make_random)
