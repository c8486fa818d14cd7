"""`lavida ask photo.jpg "What is this?"`, `cat photo.jpg | lavida ask "What is this?"`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lavida.cli import options as o
from lavida.cli.answer import answer_all
from lavida.errors import RequestError

Words = Annotated[
    list[str],
    typer.Argument(
        metavar='IMAGE... "QUESTION"',
        help="Pictures as in describe, then the question; without a picture it is read from stdin, unless the model "
        "reads text only. A question of - is read from stdin.",
    ),
]


def ask(
    words: Words,
    model: o.Model = "lavida-mini",
    steps: o.Steps = None,
    length: o.Length = None,
    block: o.Block = None,
    schedule: o.Schedule = None,
    shift: o.Shift = None,
    remasking: o.Remasking = None,
    cache: o.Cache = None,
    temperature: o.Temperature = None,
    top_p: o.TopP = None,
    top_k: o.TopK = None,
    threshold: o.Threshold = None,
    factor: o.Factor = None,
    entropy_bound: o.EntropyBound = None,
    revise: o.Revise = None,
    refresh: o.Refresh = None,
    guidance: o.Guidance = None,
    quality: o.Quality = None,
    deadline: o.Deadline = None,
    regex: o.Regex = None,
    schema: o.Schema = None,
    choices: o.Choices = None,
    seed: o.Seed = None,
    compat: o.Compat = None,
    together: o.Together = False,
    video: o.Video = None,
    frames: o.Frames = None,
    json: o.Json = False,
    show: o.Show = False,
    time: o.Time = False,
    record: o.Record = None,
    device: o.Device = "cpu",
    dtype: o.Dtype = None,
    quantize: o.Quantize = None,
    offload: o.Offload = False,
    template: o.Template = None,
    threads: o.Threads = "auto",
) -> int:
    """Ask one question about pictures, one answer a line."""
    chosen = {k: v for k, v in locals().items() if k != "words"} | {"choices": choices or None}
    images, question = split(words)
    return answer_all(images, question, o.request(**chosen))


def split(words: list[str]) -> tuple[list[str], str]:
    """(pictures, question): the last word is the question. Raises RequestError if there is none."""
    *images, question = words
    if not images and (question == "-" or Path(question).exists()):
        raise RequestError(f'no question for {question}; say lavida ask {question} "What is this?"')
    if question == "-":
        if "-" in images:
            raise RequestError("standard input cannot be both the picture and the question; name one of them")
        question = sys.stdin.read()
    if not question.strip():
        raise RequestError("the question is empty; ask something about the picture")
    return images, question.strip()


app = o.application(ask)
