"""Invent the texts of signs, labels and screens, and what a reader makes of them."""

from __future__ import annotations

import random

from mini.natural.names import NAMES
from mini.natural.truth import Box

_SIGNS = """
STOP EXIT OPEN CLOSED PUSH PULL SALE TAXI HOTEL CAFE BAR BUS ENTRANCE PARKING POLICE BANK SCHOOL MARKET
BAKERY
PHARMACY MUSEUM TICKETS INFO TOILETS DANGER WARNING SLOW WELCOME STATION CITY BEACH PARK NEWS COFFEE PIZZA
FRESH FREE NEW
HOT COLD NORTH SOUTH EAST WEST MAIN STREET ROAD AVENUE SUMMER WINTER LOVE HOME MUSIC
""".split()
_SIGNS_ZH = (
    "出口 入口 停车场 银行 超市 饭店 咖啡 医院 药店 学校 公园 北京 上海 中国 欢迎光临 禁止停车 小心地滑 面包 茶".split()
)
_ALIKE = {"O": "0", "0": "O", "I": "l", "l": "I", "S": "5", "B": "8", "1": "l", "E": "F", "rn": "m", "c": "e"}
ERROR = 0.03  # of characters


def invent_texts(rng: random.Random) -> tuple[tuple[str, Box], ...]:
    """Draw up to three texts with their boxes, in reading order."""
    texts = []
    top = rng.uniform(0.02, 0.5)
    for _ in range(rng.choices((1, 2, 3), (6, 3, 1))[0]):
        height, left = rng.uniform(0.03, 0.12), rng.uniform(0.02, 0.5)
        texts.append((_text(rng), (left, top, min(0.98, left + rng.uniform(0.1, 0.4)), min(0.99, top + height))))
        top = min(0.88, top + height + rng.uniform(0.02, 0.2))
    return tuple(texts)


def _text(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        words = rng.sample(_SIGNS, rng.choices((1, 2), (3, 1))[0])
        return " ".join(w.capitalize() if kind < 0.15 else w for w in words)
    if kind < 0.6:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 4)))
    if kind < 0.68:
        return f"{rng.randint(1, 99)}.{rng.randint(0, 99):02d}"
    if kind < 0.78:
        return "".join(rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(rng.randint(2, 4)))
    if kind < 0.9:
        word = rng.choice(list(NAMES.values())).text
        return rng.choice((word, word.capitalize(), word.upper()))
    return rng.choice(_SIGNS_ZH)


def misread(texts: tuple[tuple[str, Box], ...], rng: random.Random) -> list[tuple[str, Box]]:
    """Return texts as a reader gives them: a few characters are taken for others, a few texts missed."""
    read = []
    for text, box in texts:
        if rng.random() < 0.05:
            continue
        read.append(("".join(_ALIKE.get(c, c) if rng.random() < ERROR else c for c in text), box))
    return read
