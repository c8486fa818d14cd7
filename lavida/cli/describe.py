"""`lavida describe photo.jpg`, `lavida describe photos/ --json`, `cat photo.jpg | lavida describe -`."""

from __future__ import annotations

from typing import Annotated

import typer

from lavida.cli import options as o
from lavida.cli.answer import answer_all

Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="Files, folders, patterns; - for a picture or list on stdin.")
]


def describe(
    images: Images,
    model: o.Model = "lavida-mini",
    steps: o.Steps = None,
    length: o.Length = None,
    block: o.Block = None,
    schedule: o.Schedule = "shift",
    shift: o.Shift = 1 / 3,
    remasking: o.Remasking = "confidence",
    cache: o.Cache = "prefix",
    temperature: o.Temperature = 0.0,
    seed: o.Seed = 0,
    json: o.Json = False,
    show: o.Show = False,
    time: o.Time = False,
    record: o.Record = None,
    threads: o.Threads = None,
    device: o.Device = "cpu",
) -> int:
    """Describe pictures, one line each."""
    chosen = {k: v for k, v in locals().items() if k != "images"}
    return answer_all(images, None, o.request(**chosen))


app = o.application(describe)
