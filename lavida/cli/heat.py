"""An audit as a heat map: in the terminal, and as an HTML page of one file."""

from __future__ import annotations

import math
from html import escape

from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lavida.cli.output import thumbnail
from lavida.edit.audit import Audit, Word

FULL = 6.0  # nats at which a colour is strongest
DOUBTED = math.log(0.05)  # a word less likely than that is underlined, and red whatever a grey picture makes of it
_FOR, _AGAINST = (46, 160, 67), (218, 54, 51)
_PHOTO = 420  # pixels

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #1f2328;
  background: #fff; }}
p.text {{ font-size: 1.5em; line-height: 2; }}
p.text span {{ padding: .15em .1em; border-radius: .2em; white-space: pre-wrap; }}
.doubted {{ text-decoration: underline wavy #da3633 2px; text-underline-offset: .25em; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .2em .8em; text-align: right; }}
td:first-child, th:first-child, td:last-child, th:last-child {{ text-align: left; }}
tr + tr {{ border-top: 1px solid #d1d9e0; }} caption {{ caption-side: bottom; text-align: left; color: #59636e; }}
</style>
<h1>{title}</h1>
<img src="{picture}" alt="the picture">
<p class="text">{words}</p>
<table>
<caption>Green: likelier with the picture than with a grey one in its place; red: less likely. Underlined: with the
picture less likely than 5 %, the redder the further below.</caption>
<tr><th>word</th><th>with the picture</th><th>without</th><th>support, nats</th><th>likeliest here</th></tr>
{rows}
</table>
</html>
"""


def show(found: Audit) -> None:
    """Print the text in colours and a table of its words; only the table where there is no terminal."""
    console = Console(highlight=False)
    if console.is_terminal:
        text = Text()
        for word in found.words:
            lead = word.text[: len(word.text) - len(word.text.lstrip())]
            text.append(lead).append(word.text.lstrip(), style=_style(word))
        console.print(text, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for i, heading in enumerate(("word", "with picture", "without", "support", "likeliest here")):
        table.add_column(heading, justify="left" if i in (0, 4) else "right", no_wrap=True)
    for word in found.words:
        table.add_row(*map(Text, _cells(word)))
    console.print(table)


def page(found: Audit, *, picture: Image.Image, title: str) -> str:
    """Return the heat map as HTML, with the picture in it."""
    words = "".join(
        f'<span style="background: {_css(word)}"{" class=doubted" * _is_doubted(word)}>{escape(word.text)}</span>'
        for word in found.words
    )
    rows = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(word))}</tr>" for word in found.words)
    return _PAGE.format(title=escape(title), picture=thumbnail(picture, _PHOTO)[1], words=words, rows=rows)


def heat(word: Word) -> float:
    """Return the nats that colour a word: its support, or its distance below `DOUBTED`."""
    return word.seen - DOUBTED if _is_doubted(word) else word.support


def _cells(word: Word) -> tuple[str, ...]:
    """Return the row of a word: its figures, and the likeliest tokens at its place unless they are the word."""
    text, instead = word.text.strip(), "".join(token.instead for token in word.tokens).strip()
    seen, blind = (f"{100 * math.exp(value):.1f} %" for value in (word.seen, word.blind))
    return text, seen, blind, f"{word.support:+.2f}", "" if instead == text else instead


def _colour(word: Word) -> tuple[tuple[int, int, int], float]:
    value = heat(word)
    return _FOR if value >= 0 else _AGAINST, min(1.0, abs(value) / FULL)


def _style(word: Word) -> str:
    colour, strength = _colour(word)
    shade = (round(255 + (c - 255) * strength) for c in colour)
    return f"black on rgb({','.join(map(str, shade))}){' underline bold' * _is_doubted(word)}"


def _css(word: Word) -> str:
    colour, strength = _colour(word)
    return f"rgba({', '.join(map(str, colour))}, {strength:.2f})"


def _is_doubted(word: Word) -> bool:
    return word.seen < DOUBTED
