"""`lavida draw "a red bus" --model MMADA --out bus.png`: a picture from a description."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.cli.output import print_facts
from lavida.cli.picture import require_drawing
from lavida.draw.options import OPTIONS, draw_options
from lavida.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image
    from rich.text import Text

    from lavida.draw.request import Drawing, DrawRequest, Sketch

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_CELLS = 32  # of a sketch in the terminal, along a side


@o.command(o.drawing(), o.LOADING)
def draw(
    text: Annotated[str, o.argument('"TEXT"', "What is to be seen.")],
    out: Annotated[
        Path, o.option("File of the picture: png, jpg or webp; of several, numbers are put before its end.")
    ],
    image: Annotated[Path | None, o.option("A picture that is kept where the mask is dark.")] = None,
    mask: Annotated[Path | None, o.option("A picture of the same size, bright where it is to be drawn.")] = None,
    show: Annotated[bool, o.option("Watch the picture appear.", "--show")] = False,
    time: Annotated[bool, o.option("Print seconds of loading and drawing on standard error.", "--time")] = False,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Draw a picture from a description; with --image and --mask, a part of one."""
    chosen = draw_options({name: options[name] for name in OPTIONS})
    _check_out(out)
    require_drawing(options["model"])
    if (image is None) != (mask is None):
        raise RequestError("a picture is redrawn where a mask is bright; give both --image and --mask, or neither")
    shown, marked = (None if path is None else _open(path) for path in (image, mask))
    model = o.load_model({**options, "time": time})
    request = model.draw_request(text, image=shown, mask=marked, options=chosen)
    drawings = _watched(request, sys.stderr if json else sys.stdout) if show else request.run()
    for number, drawing in enumerate(drawings, start=1):
        path = out if chosen.count == 1 else out.with_stem(f"{out.stem}-{number}")
        _save(drawing.image, path)
        facts = {
            "prompt": drawing.prompt, "file": str(path), "seed": drawing.seed, "steps": drawing.steps,
            "seconds": drawing.seconds, "shape": drawing.shape, "codes": drawing.codes,
        }  # fmt: skip
        print_facts(facts, str(path), as_json=json)
        if time:
            print(f"drawn in {drawing.seconds:.2f} s: {drawing.steps} steps", file=sys.stderr)
    return 0


def _check_out(out: Path) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise RequestError(f"cannot write {out}: its name must end in {', '.join(SUFFIXES)}")
    if not out.parent.is_dir():
        raise RequestError(f"cannot write {out}: there is no folder {out.parent}; make it first")


def _open(path: Path) -> Image.Image:
    from lavida.image.load import open_image

    return open_image(path, any_shape=True)


def _save(image: Image.Image, path: Path) -> None:
    try:
        image.save(path)
    except OSError as error:
        raise RequestError(
            f"cannot write {path} ({error.strerror or error}); choose another place or free some space"
        ) from None


def _watched(request: DrawRequest, file: Any) -> Iterator[Drawing]:
    """Draw one picture after the other, showing each step: in colour in a terminal, as a line elsewhere."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=file, highlight=False)
    for number in range(len(request.jobs)):
        start = perf_counter()
        if not console.is_terminal:
            for sketch in request.sketches(number):
                total = len(sketch.codes)
                console.print(f"{sketch.step.index + 1:4d}  {total - sketch.masked} of {total} codes", soft_wrap=True)
        else:
            with Live(console=console, refresh_per_second=10, transient=True) as live:
                for sketch in request.sketches(number):
                    live.update(blocks(sketch), refresh=True)
        yield request.drawing(number, perf_counter() - start)


def blocks(sketch: Sketch) -> Text:
    """Return a sketch as half blocks in colour, two pixels in a character."""
    from rich.text import Text

    rows, columns = sketch.shape
    scale = min(1.0, _CELLS / max(rows, columns))
    width, height = max(1, round(columns * scale)), max(2, round(rows * scale) // 2 * 2)
    small = sketch.image().resize((width, height)).tobytes()
    pixels = [small[i : i + 3] for i in range(0, len(small), 3)]
    text = Text()
    for y in range(0, height, 2):
        for x in range(width):
            upper, lower = pixels[y * width + x], pixels[(y + 1) * width + x]
            text.append("\u2580", style=f"rgb({_css(upper)}) on rgb({_css(lower)})")
        text.append("\n")
    return text


def _css(pixel: bytes) -> str:
    return ",".join(map(str, pixel))
