"""`lavida describe photo.jpg`, `lavida describe photos/ --json`, `cat photo.jpg | lavida describe -`."""

from __future__ import annotations

from typing import Annotated

import typer

from lavida.cli import options as o
from lavida.cli.answer import answer_all
from lavida.errors import RequestError

Images = Annotated[
    list[str] | None,
    typer.Argument(metavar="IMAGE...", help="Files, folders, patterns; - for a picture or list on stdin."),
]


def describe(
    images: Images = None,
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
    """Describe pictures, one line each."""
    chosen = {k: v for k, v in locals().items() if k != "images"}
    if not images and video is None:
        raise RequestError("Missing argument 'IMAGE...'; see `lavida describe --help`")
    return answer_all(images or [], None, o.request(**chosen))


app = o.application(describe)
