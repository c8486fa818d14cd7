"""`lavida data check FILE`: count the samples of a data set and list those that cannot be used."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from lavida.cli.options import Model, argument, option
from lavida.errors import RequestError

LISTED = 20  # broken entries; --json lists all
_HELP = {"help_option_names": ["-h", "--help"]}

data = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

File = Annotated[
    str,
    argument(
        "FILE", "JSON, JSON lines, tar shards such as 'set-{000..031}.tar', parquet, a saved folder, hub:OWNER/NAME."
    ),
]


@data.callback(context_settings=_HELP)
def _group() -> None:
    """Check data sets."""


@data.command(context_settings=_HELP)
def check(
    file: File,
    images: Annotated[Path | None, option("Folder of the pictures. Default: that of FILE.")] = None,
    split: Annotated[str, option("Of a set of the datasets library.")] = "train",
    model: Model = "lavida-mini",
    max_length: Annotated[int | None, option("Tokens that a sample may take. Default: the model's.")] = None,
    workers: Annotated[int, option("Processes that open pictures.")] = 0,
    json: Annotated[bool, option("One JSON object, every broken entry in it.", "--json")] = False,
) -> int:
    """Read every entry as a model would and open every picture; exit code 2 if any of them is broken.

    Broken are missing files, pictures that cannot be opened, empty answers, samples that are too long, and entries of
    another form than FILE's kind has. Training skips them.
    """
    if workers < 0 or (max_length is not None and max_length < 1):
        raise RequestError("--workers must be 0 or more and --max-length 1 or more")
    from lavida.checkpoint.inventory import read_config, survey
    from lavida.checkpoint.named import find_model, tokenizer_of
    from lavida.cli.main import complain
    from lavida.data.check import check as examine
    from lavida.data.encode import Encoder
    from lavida.data.sources import open_source

    source = open_source(file, images=images, split=split)
    folder = find_model(model)
    config = read_config(survey(folder))
    encode = Encoder(config, tokenizer_of(folder, config), max_length=max_length)
    facts = examine(source, encode, workers=workers, watch=_watched)
    print(json_text.dumps(facts, indent=1) if json else as_text(facts))
    broken = len(facts["broken"])
    return complain(f"{broken} of {facts['samples']} samples cannot be used; training skips them") if broken else 0


def as_text(facts: dict[str, Any]) -> str:
    """Format the facts of a set as lines for a reader."""
    lines = [f"{facts['source']}: {facts['samples']} samples, {facts['usable']} of them usable"]
    if facts["usable"]:
        tokens = facts["tokens"]
        pictures = ", ".join(f"{count} with {n}" for n, count in facts["samples_by_pictures"].items())
        lines += [
            f"tokens    half of the samples up to {tokens['median']}, 95 % up to {tokens['p95']}, "
            f"the longest {tokens['longest']}; at most {facts['max_length']} are taken",
            f"pictures  {pictures}",
            f"answers   {facts['answers']}",
        ]
    lines += [f"{kind}: {count}" for kind, count in facts["broken_by_kind"].items()]
    lines += [f"  {facts['source']}:{entry['index']}  {entry['reason']}" for entry in facts["broken"][:LISTED]]
    if len(facts["broken"]) > LISTED:
        lines.append(f"  and {len(facts['broken']) - LISTED} more; --json lists all")
    return "\n".join(lines)


def _watched(found: Iterable[Any]) -> Iterable[Any]:
    """Show a progress bar on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    return track(found, "reading", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
