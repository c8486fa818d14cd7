"""The contents of documents: kinds, their fields, and how a value of each field is drawn."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_COLOURS = "Amber Blue Brown Coral Golden Green Grey Ivory Olive Orange Pink Purple Red Silver White Yellow".split()
_SHOPS = "Bakery Bistro Books Cafe Corner Diner Garden Grill Kiosk Kitchen Market Pharmacy Store Studio".split()
_CITIES = """Amsterdam Athens Barcelona Berlin Bordeaux Brussels Copenhagen Dublin Florence Geneva Hamburg Helsinki
Krakow Leipzig Lisbon London Lyon Madrid Milan Munich Naples Oslo Paris Porto Prague Riga Rome Seville Sofia Stockholm
Turin Utrecht Valencia Venice Vienna Vilnius Warsaw Zagreb Zurich""".split()
_KINDS = "Dried Fresh Frozen Ground Organic Roasted Smoked Sweet Toasted Wild".split()
_GOODS = "Almonds Apples Beans Bread Butter Cheese Coffee Honey Lentils Mango Oats Olives Pasta Rice Tea".split()
_NAME = "[A-Z][a-z]{1,10}"
HELD_OUT = 5  # one value in so many is kept for the evaluation


@dataclass(frozen=True, kw_only=True)
class Field:
    """Describe one field of a document; values are written as they are printed."""

    name: str
    pattern: str  # that every value matches
    draw: Callable[[random.Random], str]


def _names(*lists: list[str]) -> Callable[[random.Random], str]:
    return lambda rng: " ".join(rng.choice(words) for words in lists)


def _date(rng: random.Random) -> str:
    return f"{rng.randint(2019, 2029)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _price(rng: random.Random) -> str:
    return f"{rng.randint(1, 99)}.{rng.randint(0, 99):02}"


def _seat(rng: random.Random) -> str:
    return f"{rng.randint(1, 48)}{rng.choice('ABCDEF')}"


def _weight(rng: random.Random) -> str:
    return f"{rng.randint(2, 19) * 50} g"


_DATE, _PRICE = r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", r"[1-9][0-9]?\.[0-9]{2}"
FIELDS: dict[str, tuple[Field, ...]] = {
    "receipt": (
        Field(name="shop", pattern=f"{_NAME} {_NAME}", draw=_names(_COLOURS, _SHOPS)),
        Field(name="date", pattern=_DATE, draw=_date),
        Field(name="total", pattern=_PRICE, draw=_price),
    ),
    "ticket": (
        Field(name="from", pattern=_NAME, draw=_names(_CITIES)),
        Field(name="to", pattern=_NAME, draw=_names(_CITIES)),
        Field(name="date", pattern=_DATE, draw=_date),
        Field(name="seat", pattern=r"[1-9][0-9]?[A-F]", draw=_seat),
    ),
    "label": (
        Field(name="product", pattern=f"{_NAME} {_NAME}", draw=_names(_KINDS, _GOODS)),
        Field(name="weight", pattern=r"[1-9][0-9]{2} g", draw=_weight),
        Field(name="price", pattern=_PRICE, draw=_price),
    ),
}
KINDS = tuple(FIELDS)


def is_held_out(field: str, value: str) -> bool:
    """Report whether a value is kept for the evaluation: a function of the value, so that no list has to be shipped."""
    return zlib.crc32(f"{field}={value}".encode()) % HELD_OUT == 0


def draw_values(kind: str, rng: random.Random, *, held_out: bool) -> dict[str, str]:
    """Draw a value of each field, all of them held out or none."""
    values: dict[str, str] = {}
    for field in FIELDS[kind]:
        value = field.draw(rng)
        while is_held_out(field.name, value) is not held_out or value in values.values():
            value = field.draw(rng)
        values[field.name] = value
    return values


def extra_price(rng: random.Random) -> str:
    """Draw a price that is printed and not asked for."""
    return _price(rng)


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of the fields of a document."""
    properties = {f.name: {"type": "string", "pattern": f"^{f.pattern}$"} for f in FIELDS[kind]}
    return {
        "title": kind,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def answer_of(values: Mapping[str, str]) -> str:
    """Return the right answer: the values as JSON."""
    return json.dumps(values, ensure_ascii=False)
