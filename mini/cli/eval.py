"""`lavida eval mini --data build/mini --out build/eval`: figures beside baselines, and the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.cli import options as o
from lavida.errors import RequestError


def evaluate(
    what: Annotated[str, typer.Argument(help="What to evaluate: mini.")],
    model: o.Model = "lavida-mini",
    data: Annotated[Path, typer.Option(help="What `lavida data build mini` made.")] = Path("build/mini"),
    out: Annotated[
        Path, typer.Option(help="Where results.json and MODEL_CARD.md go (results.zh.json of Chinese).")
    ] = Path("build/eval"),
    language: Annotated[str, typer.Option(help="Of questions and answers: en or zh.")] = "en",
    seed: Annotated[int, typer.Option(help="Of the questions drawn and the examples shown.")] = 0,
) -> None:
    """Evaluate on all splits beside the baselines."""
    if what != "mini":
        raise RequestError(f"unknown evaluation {what!r}; choose mini")
    from mini.eval.run import main

    main(model, data, out, seed=seed, language=language)


app = o.application(evaluate)
