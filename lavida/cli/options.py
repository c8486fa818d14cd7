"""The options that `describe` and `ask` share; their ranges are checked by `DecodeOptions`, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

Model = Annotated[str, typer.Option(help="Model: a folder, or lavida-mini.")]
Steps = Annotated[int | None, typer.Option(help="Forward passes, 1 to --length; fewer is faster. Default: --length.")]
Length = Annotated[
    int | None, typer.Option(help="Tokens of the canvas, the longest answer possible. Default: 16, or --steps if more.")
]
Block = Annotated[int | None, typer.Option(help="Finish the canvas in blocks of so many tokens, left to right.")]
Schedule = Annotated[str, typer.Option(help="Tokens per step: shift, linear, cosine, even or logit_normal.")]
Shift = Annotated[float, typer.Option(help="Of the shift schedule: below 1 writes many tokens early, above 1 late.")]
Remasking = Annotated[str, typer.Option(help="What is committed first: confidence, margin, entropy or random.")]
Cache = Annotated[str, typer.Option(help="prefix computes picture and prompt once, none at every step.")]
Temperature = Annotated[float, typer.Option(help="Of the Gumbel noise; 0 always takes the likeliest word.")]
Seed = Annotated[int, typer.Option(help="Of the noise; the same seed gives the same text.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads of PyTorch.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line for each picture.")]
Show = Annotated[bool, typer.Option("--show", help="Watch the canvas fill up.")]
Time = Annotated[bool, typer.Option("--time", help="Say on standard error how long loading and answering took.")]
Record = Annotated[Path | None, typer.Option(help="Write the denoising as an animated SVG file (one picture only).")]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked on the command line; `decode` holds the fields of `DecodeOptions`."""

    decode: dict[str, Any]
    model: str
    device: str
    threads: int | None
    json: bool
    show: bool
    time: bool
    record: Path | None


def request(**options: Any) -> Request:
    """Sort the options of a command into those of decoding and those of the command line."""
    own = {name: options.pop(name) for name in ("model", "device", "threads", "json", "show", "time", "record")}
    return Request(decode=options, **own)


def application(command: Callable[..., int]) -> typer.Typer:
    """A typer application of one command, with plain help: importing rich's takes longer than showing it."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})(command)
    return app
