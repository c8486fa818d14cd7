"""Options that commands share, and the decorator that makes a command.

A command declares its own parameters and `**options`; `command` puts the shared ones in their place. Those of
decoding come from the fields of `DecodeOptions`, which declare help, type and bounds.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from lavida.decode.options import CANVAS, OPTIONS, DecodeOptions, Option
from lavida.errors import RequestError
from lavida.threads import AUTO, parse_threads

if TYPE_CHECKING:
    from lavida.api import Model as LoadedModel
    from lavida.batch.cluster import Cluster

FORM, ANSWER, MODEL, DRAW, RAY = "Form of the answer", "Output", "Model", "Picture", "Ray"
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def option(text: str, *names: str, group: str | None = None, **rest: Any) -> Any:
    """Return the declaration of an option whose help is `text`, listed under the heading `group`."""
    return typer.Option(*names, help=text, rich_help_panel=group, **rest)


def argument(metavar: str, text: str) -> Any:
    """Return the declaration of an argument."""
    return typer.Argument(metavar=metavar, help=text)


Model = Annotated[str, option("Folder, id owner/name of a hub model, or lavida-mini.", group=MODEL)]
Cache = Annotated[
    str | None,
    option("prefix computes the prompt once, none every time. Default: as the model is asked.", group=MODEL),
]
Json = Annotated[bool, option("One JSON object.", "--json")]
JsonLines = Annotated[bool, option("One JSON object a line for each picture.", "--json", group=ANSWER)]
Picture = Annotated[str, argument("IMAGE", "One picture, - for standard input.")]
Pictures = Annotated[list[str], argument("IMAGE...", "Files, folders, patterns, or - for standard input.")]
Text = Annotated[str, argument('"TEXT"', "What is said about it.")]
Question = Annotated[str | None, option("What the text answers. Default: a request to describe.")]

Shared = Mapping[str, tuple[Any, Any]]  # by name: annotation and default


def _shared(group: str, **declared: tuple[Any, ...]) -> Shared:
    """Return options of one group by (type, default, help, name if it differs); a switch has no opposite."""
    return {
        name: (Annotated[kind, option(text, *(names or [f"--{name}"] * (kind is bool)), group=group)], default)
        for name, (kind, default, text, *names) in declared.items()
    }


_THREADS = option(
    "CPU threads; auto suits the size of the model and the load of the machine.",
    group=MODEL, metavar="N", parser=parse_threads,
)  # fmt: skip
LOADING: Shared = {
    "model": (Model, "lavida-mini"),
    **_shared(
        MODEL,
        device=(str, "cpu", "cpu, cuda or mps."),
        dtype=(str | None, None, "float32, bfloat16, float16 or auto, the fastest. Default: as stored."),
        quantize=(str | None, None, "int8 or int4: the denoiser's weights in less memory."),
        offload=(bool, False, "Keep the denoiser's blocks on the CPU between their turns."),
        template=(str | None, None, "Write the prompt as another family does; plain for base models."),
    ),
    "threads": (Annotated[str, _THREADS], AUTO),
    **_shared(
        MODEL,
        vq=(
            str | None,
            None,
            "Image tokenizer of MMaDA: folder or hub id. Default: vq in its folder, or the published.",
        ),
        side=(int | None, None, "Pixels of the square that MMaDA sees a picture as. Default: 512."),
    ),
}
_ADDRESS = option("local, or the address of a cluster (auto, HOST:PORT).", metavar="ADDRESS", group=RAY)
CLUSTER: Shared = {
    "ray": (Annotated[str | None, _ADDRESS], None),
    **_shared(
        RAY,
        workers=(int | None, None, "Models side by side. Default: 1."),
        worker_cpus=(float | None, None, "CPUs that a worker takes; may be a fraction. Default: 1.", "--worker-cpus"),
        worker_gpus=(
            float | None, None, "GPUs that a worker takes. Default: 1 with --device cuda, else 0.", "--worker-gpus"
        ),
    ),
}  # fmt: skip
CALIBRATED = _shared(
    CANVAS,
    quality=(str | None, None, "high, balanced or fast: steps, rule and cache as `lavida calibrate` measured."),
    deadline=(str | None, None, "The same, the best that is ready in time: 400ms."),
)
CONSTRAINED = _shared(
    FORM,
    regex=(str | None, None, "Regular expression that the whole answer matches."),
    schema=(Path | None, None, "File of a JSON Schema that the answer fits."),
    choices=(list[str] | None, None, "A text that the answer may be; repeat it.", "--choice"),
)
ANSWERING = _shared(
    ANSWER,
    together=(bool, False, "Ask once about all pictures."),
    video=(Path | None, None, "A video to ask about; needs lavida[video]."),
    frames=(int | None, None, "Frames of the video to use. Default: 32 if they fit."),
    json=(bool, False, "One JSON object a line for each picture."),
    show=(bool, False, "Watch the canvas fill up."),
    time=(bool, False, "Print seconds of loading and answering on standard error."),
    record=(Path | None, None, "Write the denoising as an animated SVG (one picture)."),
)


@cache
def decoding() -> Shared:
    """Return the options of decoding that fit on a command line; None stands for the model's default."""
    return {
        name: (Annotated[declared.kind | None, option(_described(name, declared), group=declared.group)], None)
        for name, declared in OPTIONS.items()
        if declared.group is not None
    }


@cache
def drawing() -> Shared:
    """Return the options of drawing; None stands for the default."""
    from lavida.draw.options import OPTIONS as DRAWING
    from lavida.draw.options import DrawOptions

    def helped(name: str, declared: Option) -> str:
        default = getattr(DrawOptions, name)
        facts = declared.bounds() if name != "seed" else ""
        notes = [*([facts] if facts else []), *([f"default {default}"] if default is not None else [])]
        return declared.help + (f" [{'; '.join(notes)}]" if notes else "")

    kinds = {name: declared.kind if declared.kind is not object else str for name, declared in DRAWING.items()}
    return {
        name: (Annotated[kinds[name] | None, option(helped(name, declared), group=DRAW)], None)
        for name, declared in DRAWING.items()
    }


def _described(name: str, declared: Option) -> str:
    """Return the help of a decoding option with its choices or bounds, and its default unless families differ."""
    facts = " ".join(filter(None, (", ".join(filter(None, declared.choices)), declared.bounds())))
    default = getattr(DecodeOptions, name)
    has_default = isinstance(default, (int, float)) and not isinstance(default, bool) and name != "length"
    notes = [*([facts] if facts and name != "cache" else []), *([f"default {default:.3g}"] if has_default else [])]
    return declared.help + (f" [{'; '.join(notes)}]" if notes else "")


def decode_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of decoding among the shared ones, as `Model.ask` takes them; None = the model's default."""
    names = [name for name in options if name in OPTIONS or name in CALIBRATED or name in CONSTRAINED]
    return {name: None if options[name] == [] else options[name] for name in names}


def cluster_of(options: Mapping[str, Any]) -> Cluster | None:
    """Return where the options of `CLUSTER` among `options` have work run on Ray, if they do. Raises RequestError."""
    given = {name: options[name] for name in CLUSTER if name != "ray" and options[name] is not None}
    if options["ray"] is None:
        if given:
            alone = next(iter(given)).replace("_", "-")
            raise RequestError(f"--{alone} goes with --ray; say --ray local, or leave it out")
        return None
    from lavida.batch.cluster import Cluster

    gpus = given.get("worker_gpus", 1.0 if options["device"].startswith("cuda") else 0.0)
    cpus = given.get("worker_cpus", 1.0)
    return Cluster(address=options["ray"], workers=given.get("workers", 1), cpus=cpus, gpus=gpus)


def load_model(options: Mapping[str, Any]) -> LoadedModel:
    """Load the model that the options of `LOADING` among `options` name; report the time if `time` asks for it."""
    from lavida import api
    from lavida.cli.main import collect_garbage

    start = time.perf_counter()
    model = api.load(options["model"], **{name: options[name] for name in LOADING if name != "model"})
    collect_garbage()
    if options.get("time"):
        print(f"model loaded in {time.perf_counter() - start:.2f} s", file=sys.stderr)
    return model


class GroupedCommand(TyperCommand):
    """Print the help of options under the heading of their group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then each group of options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None) or "Options"
                group = "Arguments" if parameter.param_type_name == "argument" else panel
                groups.setdefault(group, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def command(*shared: Shared) -> Callable[[Callable[..., int | None]], typer.Typer]:
    """Turn a function into a typer application of one command, whose `**options` are the `shared` ones.

    Its help is plain: to import rich takes longer than to read it.
    """
    return lambda function: _application(function, shared)


def _application(function: Callable[..., int | None], shared: tuple[Shared, ...]) -> typer.Typer:
    own = inspect.signature(function, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD] + [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for options in shared
        for name, (annotation, default) in options.items()
    ]

    @wraps(function)
    def run(**given: Any) -> int | None:
        return function(**given)

    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(no_args_is_help=False, context_settings=_HELP, cls=GroupedCommand)(run)
    return app
