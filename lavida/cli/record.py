"""Drafts as an animated SVG: the picture beside its canvas, words appearing in the order they were committed."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from PIL import Image

from lavida.api import Draft
from lavida.cli.output import thumbnail

STEP_SECONDS, HOLD_SECONDS = 0.35, 3.0
COLUMNS, CHAR, LINE, SIZE = 40, 10.2, 30, 17  # characters a row; pixels: of a character, a row, the font
MARGIN, PHOTO = 20, 240


def animation(drafts: Sequence[Draft], *, picture: Image.Image, title: str) -> str:
    """Return the SVG document; it loops, and shows the whole answer for three seconds at the end."""
    final = drafts[-1].pieces
    born = {i: k for k, draft in enumerate(drafts) for i in draft.step.committed.tolist()}
    total = STEP_SECONDS * len(drafts) + HOLD_SECONDS
    thumb, address = thumbnail(picture, PHOTO)
    cells, rows = _layout([piece or "" for piece in final])
    left = 2 * MARGIN + thumb.width
    width, height = left + COLUMNS * CHAR + MARGIN, max(thumb.height, (rows + 2) * LINE) + 2 * MARGIN
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" rx="10" fill="#14181f"/>',
        f'<image href="{address}" x="{MARGIN}" y="{MARGIN}" width="{thumb.width}" height="{thumb.height}"/>',
        f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{SIZE}" xml:space="preserve">',
        f'<text x="{left}" y="{MARGIN + LINE * 0.7:.1f}" fill="#8b98a9">{escape(title)}</text>',
    ]
    body = [_cell(text, left + x * CHAR, MARGIN + (row + 2) * LINE, born[i], total) for i, text, x, row in cells]
    return "\n".join([*head, *body, "</g>", "</svg>", ""])


def _layout(pieces: Sequence[str]) -> tuple[list[tuple[int, str, int, int]], int]:
    """(position, text, column, row) of every visible piece, broken between words, and the number of rows."""
    cells, x, row = [], 0, 0
    for i, piece in enumerate(pieces):
        starts_word, text = piece.startswith(" "), piece.strip()
        if not text:
            continue
        rest = "".join([piece.lstrip(), *pieces[i + 1 :]]).split(" ")[0] if starts_word else text
        x += int(starts_word and x > 0)
        if x and x + len(rest) > COLUMNS:
            x, row = 0, row + 1
        cells.append((i, text, x, row))
        x += len(text)
    return cells, row + 1


def _cell(text: str, x: float, y: float, step: int, total: float) -> str:
    """Return a block that its word replaces at the end of `step`."""
    at, width = (step + 1) * STEP_SECONDS / total, len(text) * CHAR
    hide, reveal = (
        f'<animate attributeName="opacity" values="{values}" keyTimes="0;{at:.4f}" '
        f'calcMode="discrete" dur="{total:.2f}s" repeatCount="indefinite"/>'
        for values in ("1;0", "0;1")
    )
    place = f'x="{x + 1:.1f}" y="{y - SIZE:.1f}" width="{width - 2:.1f}" height="{SIZE + 5}"'
    block = f'<rect {place} rx="3" fill="#3b5b8c" opacity="0">'
    word = f'<text x="{x:.1f}" y="{y:.1f}" fill="#e8edf4" textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs">'
    return f"{block}{hide}</rect>{word}{escape(text)}{reveal}</text>"
