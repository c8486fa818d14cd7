"""The command line: `lavida describe photo.jpg`, `lavida ask photo.jpg "What is this?"`.

Only the chosen verb is imported, so `lavida --help` starts no PyTorch. Every mistake is one line and exit code 2.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lavida.errors import LavidaError
from lavida.threads import wait_passively

if TYPE_CHECKING:
    import typer

_USUAL = gc.get_threshold()
# verb -> (module that holds it as a typer application of its name, what it does)
VERBS = {
    "describe": ("lavida.cli.ask", "Describe pictures: files, folders, patterns, or - for standard input."),
    "ask": ("lavida.cli.ask", "Ask a question about pictures."),
    "draw": ("lavida.cli.draw", "Draw pictures from descriptions, or parts of pictures, with MMaDA."),
    "extract": ("lavida.cli.forms", "Read an object of a JSON Schema off pictures, with confidences."),
    "poem": ("lavida.cli.forms", "Write lines about pictures with given beginnings and lengths."),
    "choose": ("lavida.cli.texts", "Compare several answers by their likelihood."),
    "fill": ("lavida.cli.texts", "Fill the holes of a text about a picture."),
    "revise": ("lavida.cli.texts", "Rewrite what a picture makes unlikely in a text."),
    "audit": ("lavida.cli.texts", "Show what in a text the picture supports, as a heat map."),
    "serve": ("lavida.cli.serve", "Serve a model over HTTP, for OpenAI's clients and with a page."),
    "inspect": ("lavida.cli.checkpoints", "Show the parts of a checkpoint, and whether it is complete."),
    "convert": ("lavida.cli.checkpoints", "Write a checkpoint in our layout or in the published one."),
    "make-random": ("lavida.cli.checkpoints", "Write a random checkpoint of any family, to test with."),
    "data": ("lavida.cli.data", "Check a data set: read every entry, open every picture."),
    "train": ("lavida.cli.train", "Train a model on your data by a recipe, or go on with a run."),
    "train report": ("lavida.cli.train", "Draw a run into one HTML page."),
    "batch": ("lavida.cli.batch", "Answer about thousands of pictures, resumable, on one machine or on Ray."),
    "eval": ("lavida.cli.eval", "Run a benchmark from its own files, beside a model of transformers."),
    "calibrate": ("lavida.cli.calibrate", "Measure a model here, for --quality and --deadline."),
    "plan": ("lavida.cli.plan", "Tell what captions and training would cost on accelerators, on paper."),
}

HELP = """Usage: lavida COMMAND [OPTIONS] ...

Vision-language models that write by masked diffusion.

Commands:
{commands}

`lavida photo.jpg` is short for `lavida describe photo.jpg`.
`lavida COMMAND --help` lists the options of a command; `lavida --version` tells the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 2 for a mistake of the user, 130 if interrupted."""
    args = list(sys.argv[1:] if argv is None else argv)
    return guard(lambda: _run(args))


def guard(run: Callable[[], int], program: str = "lavida") -> int:
    """Return the exit code of `run`; report a user's mistake as one line on standard error."""
    wait_passively()  # before a command imports PyTorch
    gc.set_threshold(200_000, 20, 20)  # importing makes many objects and no garbage: a tenth of a cold start
    try:
        code = run()
        sys.stdout.flush()
        return code
    except LavidaError as error:
        return complain(error, program)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()  # the reader (head, a pager) has left
        return 141
    except OSError as error:  # a full disk, a folder that cannot be written
        try:
            sys.stdout.flush()
        except OSError:  # it is the disk behind standard output
            _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}; free some space or choose another place", program)


def collect_garbage() -> None:
    """Collect garbage as usual again, once everything is imported: a long job would keep what it is done with."""
    gc.freeze()  # what was imported stays; looking at it again and again would take time
    gc.set_threshold(*_USUAL)


def _drop_output() -> None:
    """Let what standard output still holds go, which must not raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: object, program: str = "lavida") -> int:
    """Print one line on standard error and return the exit code of a mistake."""
    print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        width = max(map(len, VERBS)) + 2
        print(HELP.format(commands="\n".join(f"  {verb:{width}}{what}" for verb, (_, what) in VERBS.items())), end="")
        return 0
    if args[0] == "--version":
        import lavida

        print(f"lavida {lavida.__version__}")
        return 0
    if args[0] not in VERBS:
        if args[0].startswith("-") and args[0] != "-":
            return complain(f"unknown option {args[0]}; `lavida --help` lists the commands")
        if args[0] != "-" and not os.path.exists(args[0]):
            return complain(f"unknown command {args[0]!r} and no such file; choose one of {', '.join(VERBS)}")
        args = ["describe", *args]
    words = 2 if " ".join(args[:2]) in VERBS else 1
    verb = " ".join(args[:words])
    app = getattr(import_module(VERBS[verb][0]), verb.replace("-", "_").replace(" ", "_"))
    return invoke(app, f"lavida {verb}", args[words:])


def invoke(app: typer.Typer, command: str, args: list[str], program: str = "lavida") -> int:
    """Run a typer application under the name `command` and return its exit code."""
    import typer
    import typer.main

    parser = typer.main.get_command(app)
    # Unknown options, missing arguments: typer exports only a leaf of their class.
    usage_error: type[Any] = typer.BadParameter.__bases__[0]
    try:
        # Not parser.main(): it would print usage errors in its own way and turn a broken pipe into exit code 1.
        with parser.make_context(command, args) as context:
            return parser.invoke(context) or 0
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return 130
    except usage_error as error:
        command = error.ctx.command_path if error.ctx else command
        return complain(f"{error.format_message().rstrip('.')}; see `{command} --help`", program)


if __name__ == "__main__":
    sys.exit(main())
