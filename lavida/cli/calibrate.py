"""`lavida calibrate`, `lavida calibrate --data build/mini`, `lavida calibrate --model my-model photos/*.jpg`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lavida.cli import options as o
from lavida.cli.answer import told, write_text

Images = Annotated[
    list[str] | None, typer.Argument(metavar="[IMAGE...]", help="Pictures to try the settings on, without --data.")
]


def calibrate(
    images: Images = None,
    model: o.Model = "lavida-mini",
    data: Annotated[
        Path | None, typer.Option(help="What `lavida data build mini` made: quality is CIDEr-D of captions.")
    ] = None,
    questions: Annotated[int, typer.Option(help="Scenes of --data that are described, at most 200.")] = 100,
    length: Annotated[int | None, typer.Option(help="Tokens of the canvas that settings are tried on.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure the quality anew though a table has it.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write what was found about quality to this file besides, to go with the model.")
    ] = None,
    device: o.Device = "cpu",
    dtype: o.Dtype = None,
    quantize: o.Quantize = None,
    offload: o.Offload = False,
    template: o.Template = None,
    threads: o.Threads = "auto",
) -> None:
    """Time this machine, and find out what each setting is worth unless the model's table says so already."""
    from lavida import api
    from lavida.calibrate import calibrate as measure
    from lavida.decode.budget import QUALITIES, Wish, choose_setting
    from lavida.decode.calibration import keep_table

    loading = {"device": device, "dtype": dtype, "quantize": quantize, "offload": offload, "template": template}
    loaded = api.load(model, threads=threads, **loading)
    table = measure(loaded, images=images or (), data=data, questions=questions, length=length, again=again)
    kept, length = keep_table(table, loaded.folder), table.quality.length
    for name in QUALITIES:
        chosen = choose_setting(Wish(quality=name), table, table.speeds[-1], length=length, pictures=1)
        print(f"{name}: {told(chosen.to_json())}")
    print(kept)
    if out:
        write_text(out, replace(table, speeds=()).to_json())


app = o.application(calibrate)
