"""`lavida calibrate`, `lavida calibrate --model my-model photos/*.jpg`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.cli.output import as_line, write_text

if TYPE_CHECKING:
    from lavida.api import Model
    from lavida.decode.calibration import Calibration

Images = Annotated[
    list[str] | None, o.argument("[IMAGE...]", "Pictures to try the settings on. Default: the demo photograph.")
]
Out = Annotated[Path | None, o.option("Write what was found about quality to this file besides, to go with the model.")]


@o.command(o.LOADING)
def calibrate(
    images: Images = None,
    length: Annotated[int | None, o.option("Tokens of the canvas that settings are tried on.")] = None,
    again: Annotated[bool, o.option("Measure the quality anew though it is known.", "--again")] = False,
    out: Out = None,
    **options: Any,
) -> None:
    """Time this machine, and measure the quality of each setting unless the model's table has it already."""
    from lavida.calibrate import calibrate as measure

    loaded = o.load_model(options)
    report(measure(loaded, images=images or (), length=length, again=again), loaded, out)


def report(table: Calibration, model: Model, out: Path | None) -> None:
    """Store a table beside its model, print the setting of each quality, and write the qualities to `out`."""
    from lavida.decode.budget import QUALITIES, Target, choose_setting
    from lavida.decode.calibration import store_calibration

    assert model.folder is not None and table.quality is not None  # `lavida.calibrate.calibrate` refuses others
    kept, length = store_calibration(table, model.folder), table.quality.length
    for name in QUALITIES:
        chosen = choose_setting(Target(quality=name), table, table.speeds[-1], length=length, pictures=1)
        print(f"{name}: {as_line(chosen.to_json())}")
    print(kept)
    if out:
        write_text(out, replace(table, speeds=()).to_json())
