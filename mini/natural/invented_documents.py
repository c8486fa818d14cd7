"""Invent documents without drawing them: values, and lines of text as a reader gives them, its errors included.

Kinds, fields, labels and the order of lines are drawn anew for each document, so that a model learns to look for a
value by its label, its look or its place instead of learning layouts by heart. Nothing that a held-out layout of
`layouts.py` or a held-out value of `values.py` would give away is drawn: no label of these layouts, no fields in
their order.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mini.data.documents.layouts import LAYOUTS, Layout
from mini.data.documents.values import FIELDS, is_held_out
from mini.natural.names import NAMES
from mini.natural.truth import Box

Draw = Callable[[random.Random], str]

_ONSETS = "b br c ch cl d dr f fl g gr h j k kr l m n p pr qu r s sh st t th tr v w z".split()
_VOWELS = "a e i o u ai ea ia io ou y".split()
_CODAS = "l m n r s t x nd ng rk st lle ra na to burg ton ville wick mar".split()
_WORDS = sorted({name.text for name in NAMES.values() if name.text.isalpha()})
_STREETS = "Street Road Avenue Lane Square Way".split()


def _made_up(rng: random.Random) -> str:
    syllables = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 2))]
    return ("".join(syllables) + rng.choice(_CODAS)).capitalize()


def _word(rng: random.Random) -> str:
    """Draw a capitalised word: a known one, or one that nobody has seen."""
    if rng.random() < 0.4:
        return _made_up(rng)
    return rng.choice(_WORDS).capitalize()


def _words(rng: random.Random) -> str:
    return " ".join(_word(rng) for _ in range(rng.choices((1, 2, 3), (2, 6, 1))[0]))


def _number(rng: random.Random) -> str:
    return str(rng.randint(1, 10 ** rng.randint(1, 5)))


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(1, 3)))
    return f"{letters}{rng.choice(('', '-', ' '))}{rng.randint(1, 9999)}"


def _time(rng: random.Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"


def _price(rng: random.Random) -> str:
    return f"{rng.randint(1, 10 ** rng.randint(1, 3))}.{rng.randint(0, 99):02}"


def _date(rng: random.Random) -> str:
    year, month, day = rng.randint(2015, 2032), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice((f"{year}-{month:02}-{day:02}",) * 3 + (f"{day:02}.{month:02}.{year}", f"{day}/{month}/{year}"))


def _street(rng: random.Random) -> str:
    return f"{_word(rng)} {rng.choice(_STREETS)} {rng.randint(1, 199)}"


def _phone(rng: random.Random) -> str:
    return f"{rng.randint(10, 999)} {rng.randint(1000, 99999)}"


def _amount(rng: random.Random) -> str:
    return f"{rng.randint(1, 99) * 10} {rng.choice(('g', 'ml', 'kg', 'cm'))}"


@dataclass(frozen=True, kw_only=True)
class Printed:
    """Describe how a field is printed: `alone`, without a label, where its look tells what it is."""

    labels: tuple[str, ...]
    draw: Draw
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class InventedDocument:
    """Hold the values of a document by field, and its texts with their boxes in reading order, as they are read."""

    kind: str
    values: dict[str, str]
    texts: list[tuple[str, Box]]


def _drawn(kind: str, name: str, wider: Draw, odds: float = 0.5) -> Draw:
    """Draw a value as on the drawn documents, or a wider one by `odds`; none is held out."""
    usual = next(f.draw for f in FIELDS[kind] if f.name == name)

    def draw(rng: random.Random) -> str:
        while True:
            value = (wider if rng.random() < odds else usual)(rng)
            if not is_held_out(name, value):
                return value

    return draw


_COMMON = {
    "time": Printed(labels=("Time", "At", "Hour"), draw=_time, alone=True),
    "number": Printed(labels=("No.", "Number", "#", "Ref"), draw=_number),
    "code": Printed(labels=("Code", "Booking", "Reference", "ID"), draw=_code),
    "name": Printed(labels=("Name", "Passenger", "Customer", "Guest", "Served by"), draw=_words),
    "city": Printed(labels=("City", "Town", "Place"), draw=_word),
    "street": Printed(labels=("Street", "Address"), draw=_street, alone=True),
    "phone": Printed(labels=("Phone", "Tel.", "Tel", "Call"), draw=_phone),
    "company": Printed(labels=("Company", "Firm", "Sold by"), draw=_words),
}
_KINDS: dict[str, dict[str, Printed]] = {
    "receipt": {
        "shop": Printed(labels=("Shop", "Store", "Seller"), draw=_drawn("receipt", "shop", _words), alone=True),
        "date": Printed(labels=("Date", "Day", "Issued"), draw=_drawn("receipt", "date", _date, 0.2), alone=True),
        "total": Printed(
            labels=("Total", "To pay", "TOTAL", "Sum", "Due", "Balance", "Grand total"),
            draw=_drawn("receipt", "total", _price),
        ),
    },
    "ticket": {
        "from": Printed(labels=("From", "from", "Departure"), draw=_drawn("ticket", "from", _word), alone=True),
        "to": Printed(labels=("To", "to", "Arrival"), draw=_drawn("ticket", "to", _word), alone=True),
        "date": Printed(labels=("Date", "Day", "Valid on"), draw=_drawn("ticket", "date", _date, 0.2), alone=True),
        "seat": Printed(labels=("Seat", "Place", "Seat no."), draw=_drawn("ticket", "seat", _code, 0.3)),
    },
    "label": {
        "product": Printed(labels=("Product", "Item"), draw=_drawn("label", "product", _words), alone=True),
        "weight": Printed(labels=("Weight", "Contents"), draw=_drawn("label", "weight", _amount, 0.3), alone=True),
        "price": Printed(labels=("Price", "Only", "Now"), draw=_drawn("label", "price", _price), alone=True),
    },
    "card": {"name": replace(_COMMON["name"], alone=True)},
    "invoice": {
        "company": replace(_COMMON["company"], alone=True),
        "sum": Printed(labels=("Sum", "Total", "To pay"), draw=_price),
        "date": Printed(labels=("Date", "Issued"), draw=_date, alone=True),
    },
    "form": {"date": Printed(labels=("Date", "Day"), draw=_date, alone=True)},
}
_ITEMS = "Coffee Lunch Tea Soup Bread Water Salad Bag Fare Fee Discount Cash Change Card Subtotal Service".split()
_NOTES = ("Welcome", "Thank you", "Thanks", "Goodbye", "Copy", "Have a nice day", "Please keep", "Open daily")
_USUAL = 0.6  # share of documents of the kinds that are drawn with pixels

# Of the reader, as measured on 1,200 drawn documents (docs/training-log.md, run 13) or somewhat more often.
_UNSPACED, _SPLIT, _TAKEN = 0.35, 0.02, 0.002  # unit joined to its number, text of two words apart, letters mistaken
_FOR = {"O": "0", "V": "v", "x": "X", "o": "O", "0": "O", "S": "s", "W": "w", "l": "I", "I": "l", "C": "c"}


def held_out_words() -> set[str]:
    """Return the words printed on held-out layouts that are no values and stand on no layout of the training."""
    return _words_of(True) - _words_of(False)


def _words_of(held_out: bool) -> set[str]:
    rows = [row for layout in LAYOUTS if layout.held_out is held_out for row in layout.rows]
    return {text for row in rows for text in (row.left, row.middle, row.right) if text and "{" not in text}


def order_of(layout: Layout) -> tuple[str, ...]:
    """Return the fields of a layout in the order in which they are printed."""
    printed = " ".join(f"{row.left} {row.middle} {row.right}" for row in layout.rows)
    names = [name for _, name, _, _ in string.Formatter().parse(printed) if name]
    return tuple(name for name in names if name != "other")


_HELD_OUT_ORDERS = {order_of(layout) for layout in LAYOUTS if layout.held_out}


def invent_document(rng: random.Random) -> InventedDocument:
    """Draw a document: its kind, the fields that it shows, their values, and its lines as they are read."""
    usual = rng.random() < _USUAL
    kind = rng.choice(tuple(FIELDS) if usual else tuple(_KINDS))
    shown = _shown(kind, usual, rng)
    values: dict[str, str] = {}
    for name, printed in shown.items():
        value = printed.draw(rng)
        while value in values.values():
            value = printed.draw(rng)
        values[name] = value
    lines = _lines(kind, shown, values, rng)
    return InventedDocument(kind=kind, values=values, texts=_as_read(lines, rng))


def _shown(kind: str, usual: bool, rng: random.Random) -> dict[str, Printed]:
    """Draw which fields a document shows, in which order."""
    own = dict(_KINDS[kind])
    for name in rng.sample(sorted(_COMMON), rng.choice((0, 0, 1, 2) if usual else (1, 2, 3, 4))):
        own.setdefault(name, _COMMON[name])
    names = list(own)
    while True:
        rng.shuffle(names)
        kept = [name for name in names if rng.random() < 0.85] or names[:1]
        if {"from", "to"} <= set(kept) and kept.index("from") > kept.index("to"):
            continue  # places without labels are told apart by their order
        if tuple(name for name in kept if name in _KINDS[kind]) not in _HELD_OUT_ORDERS:
            return {name: own[name] for name in kept}


def _lines(kind: str, shown: dict[str, Printed], values: dict[str, str], rng: random.Random) -> list[list[str]]:
    """Print every field with or without its label, and other lines between them."""
    blocks: list[list[list[str]]] = []  # lines that stay together
    bare = rng.random() < 0.5  # places of a journey: both without labels, or both with them
    for name, printed in shown.items():
        place = name in ("from", "to")
        alone = printed.alone and (bare and {"from", "to"} <= set(shown) if place else rng.random() < 0.5)
        new = _field_lines(printed, values[name], alone, rng)
        if blocks and len(new) == len(blocks[-1]) == 1 and not place and rng.random() < 0.12:
            blocks[-1][0] += new[0]
        else:
            blocks.append(new)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3)) if kind in ("receipt", "ticket", "invoice") else 0):
        item = rng.choice(_ITEMS) if rng.random() < 0.7 else f"{rng.randint(1, 9)} {rng.choice(('item', 'items'))}"
        blocks.insert(rng.randint(0, len(blocks)), [[item, _price(rng)]])
    if rng.random() < 0.3:
        titles = {kind.upper(), kind.capitalize(), rng.choice(_NOTES)} - held_out_words()
        blocks.insert(0, [[rng.choice(sorted(titles))]])
    if rng.random() < 0.3:
        blocks.append([[rng.choice(_NOTES)]])
    return [line for block in blocks for line in block]


def _field_lines(printed: Printed, value: str, alone: bool, rng: random.Random) -> list[list[str]]:
    if alone:
        return [[value]]
    label, how = rng.choice(printed.labels) + rng.choice(("", "", "", ":")), rng.random()
    if how < 0.2:
        return [[f"{label} {value}"]]
    return [[label], [value]] if how < 0.28 else [[label, value]]


def _as_read(lines: Sequence[Sequence[str]], rng: random.Random) -> list[tuple[str, Box]]:
    """Lay lines out and read them with the reader's errors."""
    texts: list[tuple[str, Box]] = []
    top, bottom = rng.uniform(0.02, 0.25), rng.uniform(0.7, 0.98)
    pitch = (bottom - top) / max(4, len(lines))
    for k, line in enumerate(lines):
        parts = [part for text in line for part in _misread(text, rng)]
        left = rng.uniform(0.02, 0.3) if len(line) == 1 else 0.06
        for i, part in enumerate(parts):
            x, high = left + (0.9 - left) * i / len(parts), pitch * rng.uniform(0.45, 0.8)
            y = top + k * pitch + rng.uniform(0, 0.1) * pitch
            texts.append((part, (x, y, x + 0.6 / len(parts), y + high)))
    return texts


def _misread(text: str, rng: random.Random) -> list[str]:
    """Return the one or two texts that the reader makes of one."""
    words = text.split()
    if len(words) > 1 and words[-2][-1].isdigit() and words[-1].isalpha() and rng.random() < _UNSPACED:
        text = " ".join(words[:-2] + [words[-2] + words[-1]])
    text = "".join(_FOR.get(c, c) if rng.random() < _TAKEN * (5 if i == 0 else 1) else c for i, c in enumerate(text))
    words = text.split()
    if len(words) > 1 and rng.random() < _SPLIT:
        cut = rng.randint(1, len(words) - 1)
        return [" ".join(words[:cut]), " ".join(words[cut:])]
    return [text]
