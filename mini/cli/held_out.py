"""What `lavida eval infill` and `lavida eval audit` have in common: a model, its twin and held-out captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavida.errors import RequestError

if TYPE_CHECKING:
    from mini.data.features import Features

Data = Annotated[Path, typer.Option(help="What `lavida data build mini` made.")]
Out = Annotated[Path, typer.Option(help="Folder of the figures, a JSON file.")]
Twin = Annotated[str | None, typer.Option(help="The autoregressive twin's folder (lavida train mini --objective ar).")]
Split = Annotated[str, typer.Option(help="i, ii_style, ii_image or iii.")]
Count = Annotated[int, typer.Option("--n", help="Captions, at most.")]
Seed = Annotated[int, typer.Option(help="Of what is removed or exchanged.")]


def subjects(model: str, twin: str | None, data: Path, split: str) -> tuple[Any, Any, Features]:
    """The model, its twin (None = none) and the maps of a split's pictures. Raises RequestError."""
    from lavida.api import load
    from mini.data.atlas import Atlas
    from mini.eval.splits import SPLITS, split_features

    if split not in SPLITS:
        raise RequestError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    one, other = load(model), None if twin is None else load(twin)
    if one.net.config.denoiser.autoregressive:
        raise RequestError("the model writes left to right; give it as --twin, and a diffusion model as --model")
    features = split_features(Atlas.load(data), data / "features" / split, SPLITS[split], one.net.tower)
    return one, other, features


def tell(result: dict, path: Path, heading: tuple[str, ...], rows: list[tuple]) -> None:
    """Write the figures as JSON and print them as a table; the first of each row is its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{result['split']}, {result['n']} captions, seed {result['seed']}: {path}")
    width = max(len(row[0]) for row in [heading, *rows])
    print(f"{heading[0]:{width}}" + "".join(f"{name:>16}" for name in heading[1:]))
    for name, *values in rows:
        print(f"{name:{width}}" + "".join(f"{value:16.3f}" for value in values))
