"""The options that `describe` and `ask` share; their ranges are checked by `DecodeOptions`, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from lavida.threads import parse_threads

Model = Annotated[str, typer.Option(help="Model: a folder, the id owner/name of a hub model, or lavida-mini.")]
Steps = Annotated[int | None, typer.Option(help="Forward passes, 1 to --length; fewer is faster. Default: --length.")]
Length = Annotated[
    int | None,
    typer.Option(
        help="Tokens of the canvas, the longest answer possible. Default: lavida-mini's is 16, or --steps if more; "
        "that of other models is their family's."
    ),
]
Block = Annotated[int | None, typer.Option(help="Finish the canvas in blocks of so many tokens, left to right.")]
Schedule = Annotated[
    str | None, typer.Option(help="Tokens per step: shift, linear, cosine, even or logit_normal. Default: shift.")
]
Shift = Annotated[
    float | None,
    typer.Option(help="Of the shift schedule: below 1 writes many tokens early, above 1 late. Default: 1/3."),
]
Remasking = Annotated[
    str | None,
    typer.Option(help="What is committed first: confidence, margin, entropy or random. Default: confidence."),
]
Cache = Annotated[
    str | None,
    typer.Option(
        help="prefix computes picture and prompt once, none at every step; block and dual, in between, "
        "approximate none. Default: that of the model's family."
    ),
]
Temperature = Annotated[
    float | None, typer.Option(help="Of the Gumbel noise; 0 always takes the likeliest word. Default: 0.")
]
TopP = Annotated[
    float | None, typer.Option(help="Sample among the likeliest words of this total probability, above 0 to 1.")
]
TopK = Annotated[int | None, typer.Option(help="Sample among so many of the likeliest words.")]
Threshold = Annotated[
    float | None, typer.Option(help="At each step commit besides whatever is at least so sure, above 0 to 1.")
]
Factor = Annotated[
    float | None,
    typer.Option(help="Commit besides the n surest while (n + 1) (1 - certainty of the nth) is below this."),
]
EntropyBound = Annotated[
    float | None,
    typer.Option(help="Commit besides the surest whose entropies sum to this; takes --remasking entropy."),
]
Refresh = Annotated[int | None, typer.Option(help="With --cache block and dual: everything anew every so many passes.")]
Revise = Annotated[
    float | None,
    typer.Option(help="Write anew what was less sure than this, at most half of a block, when it is full."),
]
Guidance = Annotated[
    float | None,
    typer.Option(help="Away from what would be written without the prompt; two passes a step. Default: 0."),
]
Quality = Annotated[
    str | None,
    typer.Option(help="high, balanced or fast: steps, rule and cache from the table of `lavida calibrate`."),
]
Deadline = Annotated[
    str | None,
    typer.Option(help="The same, the best that is ready in time: 400ms, 1.5s."),
]
Regex = Annotated[str | None, typer.Option(help="Hold the answer to a regular expression, from its first letter on.")]
Schema = Annotated[Path | None, typer.Option(help="Hold the answer to a JSON Schema: a file.")]
Choices = Annotated[
    list[str] | None, typer.Option("--choice", help="Hold the answer to texts of which this is one; once for each.")
]
Seed = Annotated[int | None, typer.Option(help="Of the noise; the same seed gives the same text. Default: 0.")]
Compat = Annotated[str | None, typer.Option(help="official does as the published code did, oddities included.")]
Threads = Annotated[
    str,
    typer.Option(
        parser=parse_threads,
        metavar="N",
        help="CPU threads, or auto: what suits the model and the load of the machine.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or auto, the fastest. Default: as stored.")]
Quantize = Annotated[str | None, typer.Option(help="int8 or int4: the denoiser's weights in less memory.")]
Offload = Annotated[bool, typer.Option("--offload", help="Keep the denoiser's blocks on the CPU between their turns.")]
Template = Annotated[
    str | None,
    typer.Option(help="Write the prompt as another family does; plain for models that were taught no dialogue."),
]
Together = Annotated[bool, typer.Option("--together", help="Ask once about all pictures, not once about each.")]
Video = Annotated[Path | None, typer.Option(help="A video to ask about; takes lavida[video].")]
Frames = Annotated[int | None, typer.Option(help="Frames of the video that are looked at. Default: 32 if they fit.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line for each picture.")]
Show = Annotated[bool, typer.Option("--show", help="Watch the canvas fill up.")]
Time = Annotated[bool, typer.Option("--time", help="Say on standard error how long loading and answering took.")]
Record = Annotated[Path | None, typer.Option(help="Write the denoising as an animated SVG file (one picture only).")]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked on the command line."""

    decode: dict[str, Any]  # fields of `DecodeOptions`; None = the model's default
    load: dict[str, Any]  # what `lavida.load` takes besides the model
    model: str
    together: bool
    video: Path | None
    frames: int | None
    json: bool
    show: bool
    time: bool
    record: Path | None


_LOAD = ("device", "dtype", "quantize", "offload", "threads", "template")
_OWN = ("model", "together", "video", "frames", "json", "show", "time", "record")


def request(**options: Any) -> Request:
    """Sort the options of a command into those of decoding, of loading and of the command line."""
    own = {name: options.pop(name) for name in _OWN}
    return Request(load={name: options.pop(name) for name in _LOAD}, decode=options, **own)


def application(command: Callable[..., int]) -> typer.Typer:
    """A typer application of one command, with plain help: importing rich's takes longer than showing it."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})(command)
    return app
