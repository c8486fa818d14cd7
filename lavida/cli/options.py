"""Options that commands share, and the application that a command becomes.

A command declares its own parameters and `**options`; `application` puts the shared ones in their place. Those of
decoding come from the fields of `DecodeOptions`, which declare help, type and bounds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from lavida.decode.options import CANVAS, OPTIONS, DecodeOptions, Option
from lavida.threads import AUTO, parse_threads

if TYPE_CHECKING:
    from lavida.api import Model as LoadedModel

FORM, ANSWER, MODEL = "Form of the answer", "Output", "Model"
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _option(text: str, *names: str, group: str, **rest: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=group, **rest)


Model = Annotated[str, _option("Folder, id owner/name of a hub model, or lavida-mini.", group=MODEL)]
Device = Annotated[str, _option("cpu, cuda or mps.", group=MODEL)]
Dtype = Annotated[
    str | None, _option("float32, bfloat16, float16 or auto, the fastest. Default: as stored.", group=MODEL)
]
Quantize = Annotated[str | None, _option("int8 or int4: the denoiser's weights in less memory.", group=MODEL)]
Offload = Annotated[
    bool, _option("Keep the denoiser's blocks on the CPU between their turns.", "--offload", group=MODEL)
]
Template = Annotated[
    str | None, _option("Write the prompt as another family does; plain for base models.", group=MODEL)
]
Threads = Annotated[
    str,
    _option(
        "CPU threads; auto suits the size of the model and the load of the machine.", group=MODEL, metavar="N",
        parser=parse_threads,
    ),
]  # fmt: skip
Cache = Annotated[
    str | None,
    _option("prefix computes the prompt once, none every time. Default: as the model is asked.", group=MODEL),
]
Json = Annotated[bool, _option("One JSON object a line for each picture.", "--json", group=ANSWER)]
Regex = Annotated[str | None, _option("Regular expression that the whole answer matches.", group=FORM)]
Schema = Annotated[Path | None, _option("File of a JSON Schema that the answer fits.", group=FORM)]
Choices = Annotated[list[str] | None, _option("A text that the answer may be; repeat it.", "--choice", group=FORM)]
Quality = Annotated[
    str | None,
    _option("high, balanced or fast: steps, rule and cache as `lavida calibrate` measured.", group=CANVAS),
]
Deadline = Annotated[str | None, _option("The same, the best that is ready in time: 400ms.", group=CANVAS)]
Together = Annotated[bool, _option("Ask once about all pictures.", "--together", group=ANSWER)]
Video = Annotated[Path | None, _option("A video to ask about; needs lavida[video].", group=ANSWER)]
Frames = Annotated[int | None, _option("Frames of the video to use. Default: 32 if they fit.", group=ANSWER)]
Show = Annotated[bool, _option("Watch the canvas fill up.", "--show", group=ANSWER)]
Time = Annotated[bool, _option("Print seconds of loading and answering on standard error.", "--time", group=ANSWER)]
Record = Annotated[Path | None, _option("Write the denoising as an animated SVG (one picture).", group=ANSWER)]

Shared = Mapping[str, tuple[Any, Any]]  # by name: annotation and default
LOADING: Shared = {
    "model": (Model, "lavida-mini"),
    "device": (Device, "cpu"),
    "dtype": (Dtype, None),
    "quantize": (Quantize, None),
    "offload": (Offload, False),
    "template": (Template, None),
    "threads": (Threads, AUTO),
}
CALIBRATED: Shared = {"quality": (Quality, None), "deadline": (Deadline, None)}
CONSTRAINED: Shared = {"regex": (Regex, None), "schema": (Schema, None), "choices": (Choices, None)}
ANSWERING: Shared = {
    "together": (Together, False),
    "video": (Video, None),
    "frames": (Frames, None),
    "json": (Json, False),
    "show": (Show, False),
    "time": (Time, False),
    "record": (Record, None),
}


@cache
def decoding() -> Shared:
    """Return the options of decoding that fit on a command line; None stands for the model's default."""
    return {
        name: (Annotated[option.kind | None, _option(_described(name, option), group=option.group)], None)
        for name, option in OPTIONS.items()
        if option.group is not None
    }


def _described(name: str, option: Option) -> str:
    """Return the help of a decoding option with its choices or bounds, and its default unless families differ."""
    facts = " ".join(filter(None, (", ".join(filter(None, option.choices)), option.bounds())))
    default = getattr(DecodeOptions, name)
    has_default = isinstance(default, (int, float)) and not isinstance(default, bool) and name != "length"
    notes = [*([facts] if facts and name != "cache" else []), *([f"default {default:.3g}"] if has_default else [])]
    return option.help + (f" [{'; '.join(notes)}]" if notes else "")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Hold the shared arguments of `ask` and `describe`, sorted by what they are for."""

    decode: dict[str, Any]  # options by name, as `Model.ask` takes them; None = the model's default
    load: dict[str, Any]  # what `lavida.load` takes besides the model
    model: str
    together: bool
    video: Path | None
    frames: int | None
    json: bool
    show: bool
    time: bool
    record: Path | None


def sort_arguments(options: Mapping[str, Any]) -> Arguments:
    """Return the shared arguments of a command, sorted."""
    loading = {name: options[name] for name in LOADING if name != "model"}
    rest = {name: value for name, value in options.items() if name not in LOADING}
    own = {name: rest.pop(name) for name in ANSWERING}
    if "choices" in rest:
        rest["choices"] = rest["choices"] or None  # a list option that is not given is empty
    return Arguments(decode=rest, load=loading, model=options["model"], **own)


def decode_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of decoding among the shared arguments of a command."""
    return {name: value for name, value in options.items() if name in OPTIONS or name in CALIBRATED}


def load_model(options: Mapping[str, Any]) -> LoadedModel:
    """Load the model that the options of `LOADING` among `options` name."""
    from lavida import api

    return api.load(options["model"], **{name: options[name] for name in LOADING if name != "model"})


class GroupedCommand(TyperCommand):
    """Print the help of options under the heading of their group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then each group of options."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                group = "Arguments" if parameter.param_type_name == "argument" else None
                groups.setdefault(group or getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def application(command: Callable[..., int | None], *shared: Shared) -> typer.Typer:
    """Return a typer application of one command, whose `**options` are the `shared` ones.

    Its help is plain: to import rich takes longer than to read it.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(no_args_is_help=False, context_settings=_HELP, cls=GroupedCommand)(_with_shared(command, shared))
    return app


def _with_shared(command: Callable[..., int | None], shared: tuple[Shared, ...]) -> Callable[..., int | None]:
    """Return the command with a signature in which the shared options stand for `**options`."""
    own = inspect.signature(command, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for options in shared:
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for name, (annotation, default) in options.items()
        ]

    @wraps(command)
    def run(**given: Any) -> int | None:
        return command(**given)

    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run
