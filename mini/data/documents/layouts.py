"""How documents look: a layout is a list of rows, each with words at the left, in the middle or at the right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of print; `{field}` is a value, `{other}` a price that is not asked for, drawn anew in each row."""

    left: str = ""
    middle: str = ""
    right: str = ""
    size: int = 28  # pixels on a paper 400 pixels wide
    bold: bool = False
    line: bool = False  # a rule above it


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`ratio` is the paper's height by its width."""

    kind: str
    ratio: float
    rows: tuple[Row, ...]
    held_out: bool = False


LAYOUTS = (
    Layout(
        kind="receipt",
        ratio=1.0,
        rows=(
            Row(middle="{shop}", size=38, bold=True),
            Row(middle="{date}", size=30),
            Row(left="Coffee", right="{other}", line=True),
            Row(left="Lunch", right="{other}"),
            Row(left="Total", right="{total}", size=36, bold=True, line=True),
        ),
    ),
    Layout(
        kind="receipt",
        ratio=0.9,
        rows=(
            Row(left="{shop}", size=36, bold=True),
            Row(left="Date", right="{date}", line=True),
            Row(left="1 item", right="{other}"),
            Row(left="To pay", right="{total}", size=36, line=True),
            Row(middle="Thank you", size=24),
        ),
    ),
    Layout(
        kind="receipt",
        ratio=0.95,
        held_out=True,
        rows=(
            Row(middle="RECEIPT", size=26),
            Row(left="Amount", right="{total}", size=38, bold=True, line=True),
            Row(left="Paid on", right="{date}"),
            Row(left="Tax", right="{other}"),
            Row(middle="{shop}", size=34, bold=True, line=True),
        ),
    ),
    Layout(
        kind="ticket",
        ratio=0.8,
        rows=(
            Row(middle="TICKET", size=26),
            Row(left="From", right="{from}", size=34, line=True),
            Row(left="To", right="{to}", size=34),
            Row(left="Date", right="{date}", line=True),
            Row(left="Seat", right="{seat}"),
        ),
    ),
    Layout(
        kind="ticket",
        ratio=0.8,
        rows=(
            Row(left="{from}", size=40, bold=True),
            Row(left="to {to}", size=40, bold=True),
            Row(left="{date}", right="Seat {seat}", line=True, size=30),
            Row(left="Fare", right="{other}", size=24),
        ),
    ),
    Layout(
        kind="ticket",
        ratio=0.8,
        held_out=True,
        rows=(
            Row(left="Seat {seat}", right="{other}", size=30),
            Row(middle="{from}", size=36, bold=True, line=True),
            Row(middle="{to}", size=36, bold=True),
            Row(middle="{date}", size=30, line=True),
        ),
    ),
    Layout(
        kind="label",
        ratio=0.7,
        rows=(
            Row(middle="{product}", size=38, bold=True),
            Row(left="Weight", right="{weight}", line=True, size=32),
            Row(left="Price", right="{price}", size=36, bold=True),
        ),
    ),
    Layout(
        kind="label",
        ratio=0.75,
        rows=(
            Row(left="{product}", size=36),
            Row(left="{weight}", size=32),
            Row(right="{price}", size=50, bold=True, line=True),
        ),
    ),
    Layout(
        kind="label",
        ratio=0.75,
        held_out=True,
        rows=(
            Row(middle="{price}", size=54, bold=True),
            Row(middle="{product}", size=34, line=True),
            Row(left="Net", right="{weight}", size=30, line=True),
        ),
    ),
)
