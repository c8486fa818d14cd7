"""The papers' poem benchmark (arXiv 2505.16839, section 4.3): lines that begin with given syllables.

The papers publish neither their pictures nor their syllables, so the form of the file is ours: JSON lines of
{"image": "photo.jpg", "starts": ["A", "Be", "Ca", "De"]}, and "id" if one is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lavida.constrain.template import poem
from lavida.eval.items import Item, Scores, Source, Task, score_each
from lavida.eval.records import read_lines

WORDS = (3, 7)  # of a line


def load_poem(source: Source) -> list[Item]:
    """Read a picture and the beginnings of lines from each line of JSON."""
    items = []
    for number, record in enumerate(read_lines(source.find("poem.jsonl", "*.jsonl")), 1):
        starts = record.texts("starts")
        *first, last = starts
        listed = f"{', '.join(first)} and {last}" if first else last
        items.append(
            Item(
                id=record.text("id", default=str(number)),
                prompt=f"Write a poem of {len(starts)} lines about the image. The lines begin with {listed}.",
                images=(source.picture(record.text("image")),),
                truth={"starts": list(starts)},
                where=record.where(),
            )
        )
    return items


def lines_of(text: str) -> list[str]:
    """Return the lines of a poem, blank ones left out."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def satisfaction(item: Item, text: str) -> Scores:
    """Return the share of the lines that begin as asked, and whether all do and none is too many (Table 2)."""
    starts, lines = item.truth["starts"], lines_of(text)
    kept = [line.startswith(start) for start, line in zip(starts, [*lines, *("" for _ in starts)])]
    return {"sentence": sum(kept) / len(starts), "sample": float(all(kept) and len(lines) == len(starts))}


def form(item: Item) -> Mapping[str, Any]:
    """Return the template that holds one poem to its beginnings."""
    return {"template": poem(item.truth["starts"], words=WORDS)}


POEM = Task(
    name="poem", title="Constrained poems", files="poem.jsonl, images/", load=load_poem,
    score=score_each(satisfaction), main="sample", length=64, form=form,
)  # fmt: skip
