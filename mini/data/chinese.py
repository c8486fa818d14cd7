"""Questions and answers in Chinese: the same facts, one wording for each of the English ones."""

from __future__ import annotations

import json
import re

from mini.data.chinese_names import COLOURS, KINDS, NAMES
from mini.data.facts import Fact, place
from mini.data.scenes import Placed, Scene

CODE, TITLE = "zh", "Chinese"
NUMBERS = ("零", "一", "两", "三", "四", "五")
COMMA, AND, STOP = "、", "和", "。"  # of a caption

_PROMPTS = {
    "caption": ("描述这张图片。", "图里有什么？", "给这张图片配一句说明。"),
    "detailed": ("详细描述这张图片。",),
    "list": ("列出图里的物体。",),
    "json": ("用JSON描述这张图片。",),
    "name": ("这是什么？", "它是什么？", "说出这个物体的名称。"),
    "kind": ("这是哪一类东西？",),
    "name_at": ("{where}是什么？",),
    "where": ("{0}在哪里？",),
    "count": ("有几{measure}{0}？",),
    "total": ("一共有几个物体？",),
    "colour": ("{0}是什么颜色？",),
    "presence": ("有{0}吗？",),
    "side": ("{0}在{1}的{where}？",),
    "side_yes_no": ("{0}在{1}的{where}吗？",),
    "next_to": ("{0}旁边是什么？",),
}
_PLACES = {
    "": "中间", "left": "左边", "right": "右边", "top": "上边", "bottom": "下边",
    "top left": "左上角", "top right": "右上角", "bottom left": "左下角", "bottom right": "右下角",
}  # fmt: skip
_SIDES = {
    "left": "左边",
    "right": "右边",
    "above": "上方",
    "below": "下方",
    "left right": "左边还是右边",  # the answer is one of its ends
    "above below": "上方还是下方",
}
_YES_NO = {"presence": ("有", "没有"), "side_yes_no": ("是", "不是")}


def group(name: str, count: int) -> str:
    """Return '一只猫' or '两只猫'."""
    noun, measure = NAMES[name]
    return f"{NUMBERS[count]}{measure}{noun}"


def join(parts: list[str]) -> str:
    """Join parts as '甲、乙和丙'."""
    return parts[0] if len(parts) == 1 else f"{COMMA.join(parts[:-1])}{AND}{parts[-1]}"


def one(name: str) -> str:
    """Return an answer that names a concept: the bare word, which is one token."""
    return NAMES[name][0]


def forms(name: str) -> tuple[str, ...]:
    """Return the words by which a prompt may name a concept."""
    return (NAMES[name][0],)


def kind_name(kind: str) -> str:
    """Return the name of a kind of `concepts.py` or of the tower's classes."""
    return KINDS.get(kind) or NAMES[kind][0]


def caption(scene: Scene) -> str:
    """Return '两只猫和一只猫头鹰。'."""
    return join([group(n, c) for n, c in scene.counts.items()]) + STOP


def detailed(scene: Scene) -> str:
    """Return one phrase for each object, left to right, with its place and, if known, its colour."""
    return "，".join(_coloured(o) for o in sorted(scene.objects, key=lambda o: o.x)) + STOP


def _coloured(o: Placed) -> str:
    noun, measure = NAMES[o.name]
    colour = f"{COLOURS[o.colour]}的" if o.colour else ""
    return f"{_PLACES[place(o)]}一{measure}{colour}{noun}"


def references(scene: Scene) -> list[str]:
    """Return at least five right captions in other words, for CIDEr."""
    groups = caption(scene).rstrip(STOP)
    back = join([group(n, c) for n, c in reversed(scene.counts.items())])
    return [groups, back, f"有{groups}", f"一张有{groups}的图片", f"图里有{back}", f"图片里是{groups}"]


def prompt(fact: Fact) -> str:
    """Return the question about a fact."""
    return _PROMPTS[fact.kind][fact.variant].format(
        *(NAMES[name][0] for name in fact.names),
        where=_PLACES[fact.where] if fact.kind == "name_at" else _SIDES.get(fact.where),
        measure=NAMES[fact.names[0]][1] if fact.names else "",
    )


def answer(fact: Fact) -> str:
    """Return the only right answer to the question about a fact."""
    match fact.kind:
        case "caption":
            return caption(fact.scene)
        case "detailed":
            return detailed(fact.scene)
        case "list":
            return COMMA.join(one(name) for name in fact.scene.counts)
        case "json":
            return json.dumps({one(name): n for name, n in fact.scene.counts.items()}, ensure_ascii=False)
        case "name" | "name_at" | "next_to":
            return one(fact.true)
        case "kind":
            return kind_name(fact.true)
        case "where":
            return _PLACES[fact.true]
        case "count":
            return NUMBERS[fact.true] + NAMES[fact.names[0]][1]
        case "total":
            return NUMBERS[fact.true] + "个"
        case "colour":
            return COLOURS[fact.true]
        case "side":
            return _SIDES[fact.true]
        case _:
            return _YES_NO[fact.kind][not fact.true]


def is_there(word: str) -> str:
    """Return the question whether something is there that need not be a concept."""
    return f"有{word}吗？"


def yes_no(true: bool) -> str:
    """Return the answer to such a question."""
    return _YES_NO["presence"][not true]


def one_of(word: str) -> str:
    """Return the answer that names something that need not be a concept."""
    return word


def photo_caption(name: str, kind: str) -> str:
    """Return the caption of a photograph, with its kind if there is one."""
    rest = f"，一种{kind}" if kind else ""
    return f"照片里是{name}{rest}。"


def vocabulary() -> list[str]:
    """List the pieces of all texts above; each becomes one token."""
    pieces = {piece for both in NAMES.values() for piece in both}
    pieces |= {*NUMBERS, *KINDS.values(), *COLOURS.values(), *_PLACES.values()}
    pieces |= {piece for side in _SIDES.values() for piece in re.split("(还是)", side)}
    pieces |= {word for pair in _YES_NO.values() for word in pair} | set("、，。？和的")
    texts = [*(p for forms in _PROMPTS.values() for p in forms), is_there("{}"), photo_caption("{}", "{}")]
    pieces |= {piece for text in texts for piece in re.split(r"\{\w*\}|[，。？]", text)}
    return sorted(pieces - {""})
