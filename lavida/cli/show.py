"""The canvas, live in the terminal: masks are blocks, new words light up; plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lavida.api import Draft

MASK = " \u2592\u2592"  # a shaded block as wide as a short word, so that the text moves little when it is filled in


def show(drafts: Iterable[Draft], *, title: str, file: TextIO) -> Iterator[Draft]:
    """Pass drafts on, drawing each."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.print(title, markup=False, soft_wrap=True)
        for draft in drafts:
            console.print(f"{draft.step.index + 1:4d}  {plain(draft)}", markup=False, soft_wrap=True)
            yield draft
        return
    with Live(console=console, refresh_per_second=30, transient=True) as live:
        for draft in drafts:
            live.update(Group(Text(title, style="dim"), _styled(draft)), refresh=True)
            yield draft
    console.print(title, style="dim", markup=False)


def plain(draft: Draft) -> str:
    """Return the canvas as one line, masks as blocks."""
    return "".join(MASK if piece is None else piece for piece in draft.pieces).strip()


def _styled(draft: Draft) -> Text:
    new = set(draft.step.committed.tolist())
    text = Text()
    for i, piece in enumerate(draft.pieces):
        if piece is None:
            text.append(MASK, style="blue dim")
        else:
            text.append(piece, style="bold green" if i in new else "")
    return text
