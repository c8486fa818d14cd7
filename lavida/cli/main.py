"""The command line: `lavida describe photo.jpg`, `lavida ask photo.jpg "What is this?"`.

Only the chosen verb is imported, so `lavida --help` starts no PyTorch. Every mistake is one line and exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from lavida.errors import LavidaError
from lavida.threads import wait_passively

# verb -> (module whose `app` is a typer application, what it does)
VERBS = {
    "describe": ("lavida.cli.describe", "Describe pictures: files, folders, patterns, or - for standard input."),
    "ask": ("lavida.cli.ask", "Ask a question about pictures."),
    "extract": ("lavida.cli.extract", "Read an object of a JSON Schema off pictures, with confidences."),
    "poem": ("lavida.cli.poem", "Write lines about pictures that begin and count as they are told."),
    "choose": ("lavida.cli.choose", "Which of several answers is likeliest, and how sure that is."),
    "fill": ("lavida.cli.fill", "Fill the holes of a text about a picture."),
    "revise": ("lavida.cli.revise", "Rewrite what a picture makes unlikely in a text."),
    "audit": ("lavida.cli.audit", "What in a text the picture supports, as a heat map."),
    "inspect": ("lavida.cli.inspect", "What a checkpoint is, and whether all of it is there."),
    "convert": ("lavida.cli.convert", "Write a checkpoint in our layout or in the published one."),
    "make-random": ("lavida.cli.make_random", "Write a random checkpoint of any family, to test with."),
    "data": ("lavida.cli.data", "Build the data set of lavida-mini."),
    "train": ("lavida.cli.train", "Train a model on your data by a recipe, or go on with a run."),
    "train mini": ("mini.cli.train_mini", "Train lavida-mini itself, or go on with a run."),
    "train report": ("lavida.cli.report", "Draw a run into one HTML page."),
    "calibrate": ("lavida.cli.calibrate", "Measure a model here, for --quality and --deadline."),
    "eval infill": ("mini.cli.eval_infill", "Words removed from held-out captions and written anew."),
    "eval audit": ("mini.cli.eval_audit", "Wrong names in captions: found by an audit, mended by a revision."),
    "eval poem": ("mini.cli.eval_poem", "Poems whose lines must begin as told: who keeps to it, at what likelihood."),
    "eval extract": ("mini.cli.eval_extract", "Fields read off documents of held-out values, fonts and layouts."),
    "eval": ("mini.cli.eval", "Figures of lavida-mini and its baselines."),
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
    wait_passively()  # before a command imports PyTorch
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except LavidaError as error:
        return complain(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, a pager) has left; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a full disk, a folder that cannot be written
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}; free some space or choose another place")


def complain(error: object) -> int:
    """One line on standard error; the exit code of a mistake."""
    print(f"lavida: {' '.join(str(error).split())}", file=sys.stderr)
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
        if args[0] != "-" and not Path(args[0]).exists():
            return complain(f"unknown command {args[0]!r} and no such file; choose one of {', '.join(VERBS)}")
        args = ["describe", *args]
    words = 2 if " ".join(args[:2]) in VERBS else 1
    return _invoke(" ".join(args[:words]), args[words:])


def _invoke(verb: str, args: list[str]) -> int:
    import typer
    import typer.main

    command = typer.main.get_command(import_module(VERBS[verb][0]).app)
    usage_error = typer.BadParameter.__base__  # unknown options, missing arguments: typer exports only a leaf
    try:
        # Not command.main(): it would print usage errors in its own way and turn a broken pipe into exit code 1.
        with command.make_context(f"lavida {verb}", args) as context:
            return command.invoke(context) or 0
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return 130
    except usage_error as error:
        return complain(f"{error.format_message().rstrip('.')}; see `lavida {verb} --help`")


if __name__ == "__main__":
    sys.exit(main())
