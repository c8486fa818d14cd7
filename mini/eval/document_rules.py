"""Fill forms by hand-written rules over the text that was read: what a document costs without a model.

A value is a piece of a read text that matches its field's pattern. Of several the rules take the one beside or behind a
label of the field, then the first that no other field has taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# The labels of the layouts that are trained on; those of held-out layouts were not looked at.
LABELS = {
    "shop": ("shop",), "date": ("date",), "total": ("total", "to pay"), "from": ("from",), "to": ("to",),
    "seat": ("seat",), "product": ("product",), "weight": ("weight",), "price": ("price",),
}  # fmt: skip


def fill_by_rules(schema: Mapping[str, Any], texts: Sequence[str]) -> dict[str, str | None]:
    """Return a value of each field of a schema from texts in reading order; None where no piece matches."""
    found: dict[str, str | None] = {}
    for name, field in schema["properties"].items():
        pieces = [piece for piece in _pieces(field["pattern"], texts) if piece[1] not in found.values()]
        labels = LABELS.get(name, (name,))
        beside = [value for before, value in pieces if before in labels]
        found[name] = beside[0] if beside else pieces[0][1] if pieces else None
    return found


def _pieces(pattern: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the ends of texts that match, each behind what stands before it, in lower case."""
    pieces = []
    for i, text in enumerate(texts):
        words = re.sub(r"(\d)([a-z]+)$", r"\1 \2", text).split(" ")  # "450g" -> "450 g"
        for k in range(len(words)):
            value = " ".join(words[k:])
            if re.fullmatch(pattern, value) is not None:
                before = " ".join(words[:k]) or (texts[i - 1] if i else "")
                pieces.append((before.lower().rstrip(":"), value))
                break
    return pieces
