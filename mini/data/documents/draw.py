"""A document: its values, layout and font drawn from a seed, printed on paper and laid on a desk."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from lavida.errors import DataError
from mini.data.documents.fonts import FontLibrary
from mini.data.documents.layouts import LAYOUTS, Layout, Line
from mini.data.documents.values import KINDS, draw_values, extra_price
from mini.data.patterns import SIDE, procedural

PAPER = 400  # width in pixels that the sizes of the layouts speak of
MARGIN, LEADING = 18, 1.3
TURN = 2.5  # degrees, at most


@dataclass(frozen=True, kw_only=True)
class DocumentSplit:
    """Name what is held out in a split; the rest is as in training."""

    seed: int
    values: bool = False
    fonts: bool = False
    layouts: bool = False


SPLITS = {
    "train": DocumentSplit(seed=0),
    "seen": DocumentSplit(seed=1),  # new documents of known values, fonts and layouts
    "values": DocumentSplit(seed=2, values=True),
    "fonts": DocumentSplit(seed=3, values=True, fonts=True),
    "layouts": DocumentSplit(seed=4, values=True, layouts=True),
}


@dataclass(frozen=True, kw_only=True)
class Document:
    """Hold the values, layout and font of a document; `seed` decides paper, ink, angle and desk."""

    values: Mapping[str, str]
    layout: Layout
    font: str
    seed: int

    @property
    def kind(self) -> str:
        """Return the kind of the layout."""
        return self.layout.kind


def draw_document(split: str, index: int, fonts: FontLibrary) -> Document:
    """Draw document number `index` of a split, the same every time. Raises DataError for an unknown split."""
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    held = SPLITS[split]
    rng = random.Random(f"{held.seed} {index}")
    kind = KINDS[index % len(KINDS)]
    layouts = [one for one in LAYOUTS if one.kind == kind and one.held_out is held.layouts]
    return Document(
        values=draw_values(kind, rng, held_out=held.values),
        layout=rng.choice(layouts),
        font=rng.choice(fonts.names(held_out=held.fonts)),
        seed=rng.getrandbits(32),
    )


def render(document: Document, fonts: FontLibrary) -> Image.Image:
    """Render a document as an RGB picture of 448 x 448."""
    rng = random.Random(document.seed)
    paper = _print(document, fonts, rng)
    width = rng.randint(SIDE - 40, SIDE - 8)
    paper = paper.resize((width, round(width * paper.height / paper.width)), Image.Resampling.LANCZOS)
    paper = paper.rotate(rng.uniform(-TURN, TURN), Image.Resampling.BICUBIC, expand=True)
    desk = Image.fromarray(procedural(rng.getrandbits(32)).permute(1, 2, 0).numpy()).convert("RGB")
    room = [max(0, SIDE - side) for side in paper.size]
    desk.paste(paper.convert("RGB"), tuple(rng.randint(0, one) for one in room), paper.getchannel("A"))
    return desk


def _print(document: Document, fonts: FontLibrary, rng: random.Random) -> Image.Image:
    """Print the paper alone, RGBA, twice as large as the layout's size so that turning it keeps it sharp."""
    scale, layout = 2, document.layout
    width, height = PAPER * scale, round(PAPER * layout.ratio) * scale
    shade = rng.randint(225, 255)
    paper = Image.new("RGBA", (width, height), (shade, shade - rng.randint(0, 10), shade - rng.randint(0, 25), 255))
    pen = ImageDraw.Draw(paper)
    ink = tuple(rng.randint(0, 70) for _ in range(3))
    tall = sum(row.size * LEADING for row in layout.rows) * scale
    gap = max(0.0, (height - 2 * MARGIN * scale - tall) / len(layout.rows))
    y = MARGIN * scale + gap / 2
    for row in layout.rows:
        if row.line:
            at = round(y - gap / 2)
            pen.line((MARGIN * scale, at, width - MARGIN * scale, at), fill=ink, width=scale)
        _write(pen, row, document, fonts, rng, y=y, width=width, scale=scale, ink=ink)
        y += row.size * LEADING * scale + gap
    return paper


def _write(
    pen: ImageDraw.ImageDraw,
    row: Line,
    document: Document,
    fonts: FontLibrary,
    rng: random.Random,
    *,
    y: float,
    width: int,
    scale: int,
    ink: tuple[int, ...],
) -> None:
    """Print the words of a line, made smaller until they fit."""
    words = [
        (text.format(**document.values, other=extra_price(rng)), anchor, x)
        for text, anchor, x in (
            (row.left, "la", MARGIN * scale),
            (row.middle, "ma", width // 2),
            (row.right, "ra", width - MARGIN * scale),
        )
        if text
    ]
    font = _fitting(" ".join(text for text, _, _ in words), row, document.font, fonts, width, scale)
    for text, anchor, x in words:
        pen.text((x, y), text, fill=ink, font=font, anchor=anchor)


def _fitting(text: str, row: Line, name: str, fonts: FontLibrary, width: int, scale: int) -> ImageFont.FreeTypeFont:
    room = width - 2 * MARGIN * scale
    font = fonts.font(name, row.size * scale, bold=row.bold)
    taken = font.getlength(text)
    return font if taken <= room else fonts.font(name, int(row.size * scale * room / taken), bold=row.bold)
