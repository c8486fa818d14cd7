"""`lavida data build mini`: fetch the packages by name and build the data set of lavida-mini."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavida.errors import RequestError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option(help="Folder of the data set, about 100 MB.")]
Cache = Annotated[Path, typer.Option(help="Folder of the fetched packages, about 750 MB.")]


@app.callback(context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Data sets."""


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def build(
    name: Annotated[str, typer.Argument(help="The data set: mini.")],
    out: Out = Path("build/mini"),
    cache: Cache = Path("build/packages"),
) -> None:
    """Fetch what is missing and build it; run again after any interruption."""
    if name != "mini":
        raise RequestError(f"unknown data set {name!r}; choose mini")
    from lavida.data.build import build_mini

    build_mini(out, cache)
