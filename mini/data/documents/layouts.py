"""Layouts of documents: lists of lines, each with words at the left, in the middle or at the right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """Describe one line of print; `{field}` is a value, `{other}` a price that is not asked for, drawn per line."""

    left: str = ""
    middle: str = ""
    right: str = ""
    size: int = 28  # pixels on a paper 400 pixels wide
    bold: bool = False
    line: bool = False  # a rule above it


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Describe the lines of a document; `ratio` is the paper's height by its width."""

    kind: str
    ratio: float
    rows: tuple[Line, ...]
    held_out: bool = False


LAYOUTS = (
    Layout(
        kind="receipt",
        ratio=1.0,
        rows=(
            Line(middle="{shop}", size=38, bold=True),
            Line(middle="{date}", size=30),
            Line(left="Coffee", right="{other}", line=True),
            Line(left="Lunch", right="{other}"),
            Line(left="Total", right="{total}", size=36, bold=True, line=True),
        ),
    ),
    Layout(
        kind="receipt",
        ratio=0.9,
        rows=(
            Line(left="{shop}", size=36, bold=True),
            Line(left="Date", right="{date}", line=True),
            Line(left="1 item", right="{other}"),
            Line(left="To pay", right="{total}", size=36, line=True),
            Line(middle="Thank you", size=24),
        ),
    ),
    Layout(
        kind="receipt",
        ratio=0.95,
        held_out=True,
        rows=(
            Line(middle="RECEIPT", size=26),
            Line(left="Amount", right="{total}", size=38, bold=True, line=True),
            Line(left="Paid on", right="{date}"),
            Line(left="Tax", right="{other}"),
            Line(middle="{shop}", size=34, bold=True, line=True),
        ),
    ),
    Layout(
        kind="ticket",
        ratio=0.8,
        rows=(
            Line(middle="TICKET", size=26),
            Line(left="From", right="{from}", size=34, line=True),
            Line(left="To", right="{to}", size=34),
            Line(left="Date", right="{date}", line=True),
            Line(left="Seat", right="{seat}"),
        ),
    ),
    Layout(
        kind="ticket",
        ratio=0.8,
        rows=(
            Line(left="{from}", size=40, bold=True),
            Line(left="to {to}", size=40, bold=True),
            Line(left="{date}", right="Seat {seat}", line=True, size=30),
            Line(left="Fare", right="{other}", size=24),
        ),
    ),
    Layout(
        kind="ticket",
        ratio=0.8,
        held_out=True,
        rows=(
            Line(left="Seat {seat}", right="{other}", size=30),
            Line(middle="{from}", size=36, bold=True, line=True),
            Line(middle="{to}", size=36, bold=True),
            Line(middle="{date}", size=30, line=True),
        ),
    ),
    Layout(
        kind="label",
        ratio=0.7,
        rows=(
            Line(middle="{product}", size=38, bold=True),
            Line(left="Weight", right="{weight}", line=True, size=32),
            Line(left="Price", right="{price}", size=36, bold=True),
        ),
    ),
    Layout(
        kind="label",
        ratio=0.75,
        rows=(
            Line(left="{product}", size=36),
            Line(left="{weight}", size=32),
            Line(right="{price}", size=50, bold=True, line=True),
        ),
    ),
    Layout(
        kind="label",
        ratio=0.75,
        held_out=True,
        rows=(
            Line(middle="{price}", size=54, bold=True),
            Line(middle="{product}", size=34, line=True),
            Line(left="Net", right="{weight}", size=30, line=True),
        ),
    ),
)
