"""Name the things that questions are asked about: words, kinds and measure words in English and Chinese."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import lavida
from mini.data.chinese_names import COLOURS as CHINESE_COLOURS
from mini.data.chinese_names import NAMES as CHINESE_CONCEPTS
from mini.data.concepts import CONCEPTS
from mini.natural import nametable

LABELS = Path(lavida.__file__).parent / "assets" / "mini" / "labels.json"

COLOURS: dict[str, str] = dict(CHINESE_COLOURS)  # English colour word -> Chinese

# What a thing may be doing: English participle -> Chinese after 在.
ACTIONS = {
    "running": "跑", "walking": "走路", "sitting": "坐着", "standing": "站着", "lying down": "躺着",
    "sleeping": "睡觉",
    "eating": "吃东西", "drinking": "喝水", "flying": "飞", "swimming": "游泳", "jumping": "跳", "playing": "玩",
    "riding a bicycle": "骑自行车", "riding a horse": "骑马", "riding a motorcycle": "骑摩托车", "reading": "看书",
    "talking on the phone": "打电话", "cooking": "做饭", "dancing": "跳舞", "singing": "唱歌", "surfing": "冲浪",
    "skiing": "滑雪", "snowboarding": "滑雪", "skateboarding": "玩滑板", "playing tennis": "打网球",
    "playing football": "踢足球", "playing baseball": "打棒球", "playing the guitar": "弹吉他", "working": "工作",
    "taking a photo": "拍照", "smiling": "微笑", "climbing": "攀爬", "fishing": "钓鱼", "driving": "开车",
    "grazing": "吃草", "holding an umbrella": "打伞", "flying a kite": "放风筝", "looking at the camera": "看镜头",
}  # fmt: skip

# Kinds that a question may ask for, with what they are called in a question ("Which fruit is it?").
KINDS = (
    "animal", "bird", "dog", "cat", "fish", "insect", "snake", "monkey", "bear", "fruit", "vegetable", "food",
    "drink",
    "vehicle", "furniture", "instrument", "person", "building", "clothes", "tool", "weapon", "ball", "flower",
    "plant",
    "toy", "car", "truck", "boat", "butterfly", "spider", "lizard", "turtle", "frog", "duck", "parrot", "computer",
    "clock", "bottle", "hat", "shoe", "airplane", "bicycle", "train", "bus", "ship", "beetle", "crab", "mushroom",
)  # fmt: skip
_PARENTS = {
    "bird": ("animal",), "fish": ("animal",), "insect": ("animal",), "creature": ("animal",), "dog": ("animal",),
    "cat": ("animal",), "flower": ("plant",), "fruit": ("food",), "vegetable": ("food",), "boat": ("vehicle",),
    "ship": ("boat", "vehicle"), "ape": ("animal",), "kind": (),
}  # fmt: skip
_NO_KIND = frozenset({"thing", "paper", "utensil", "kind", "creature", "covering", "container", "device", "landscape"})
_MORE_KINDS = {
    "canoe": ("boat", "vehicle"), "sailboat": ("boat", "vehicle"), "ship": ("boat", "vehicle"),
    "taxi": ("car", "vehicle"), "police car": ("car", "vehicle"), "ambulance": ("vehicle",),
    "rose": ("flower", "plant"), "sunflower": ("flower", "plant"), "tulip": ("flower", "plant"),
    "hibiscus": ("flower", "plant"), "potted plant": ("plant",), "gorilla": ("ape", "animal"),
    "chimpanzee": ("ape", "animal"), "orangutan": ("ape", "animal"), "polar bear": ("bear", "animal"),
    "brown bear": ("bear", "animal"), "black bear": ("bear", "animal"), "teddy bear": ("toy",), "doll": ("toy",),
    "table": ("furniture",), "tank": ("vehicle", "weapon"), "sword": ("weapon",), "puppy": ("dog", "animal"),
    "kitten": ("cat", "animal"), "baseball player": ("person",), "groom": ("person",), "scuba diver": ("person",),
    "duck": ("bird", "animal"), "owl": ("bird", "animal"), "fire engine": ("truck", "vehicle"),
    "pickup truck": ("truck", "vehicle"), "tabby cat": ("cat", "animal"), "tiger cat": ("cat", "animal"),
    "boxer dog": ("dog", "animal"), "spider": ("animal",), "scorpion": ("animal",), "laptop": ("computer",),
    "desktop computer": ("computer",), "bowl": (), "mug": (), "cup": (), "plate": (), "menu": (), "hay": (),
    "coffee mug": (), "wine": ("drink",), "soap bubble": (), "punching bag": (), "balloon": (), "hot-air balloon": (),
    "railway carriage": ("vehicle",), "freight car": ("vehicle",), "scoreboard": (), "brass plate": (), "pick": (),
    "wardrobe": ("furniture",), "mushroom": (), "door": (), "window": (), "mirror": (), "toilet": (), "bathtub": (),
    "shell": (), "glasses": (), "umbrella": (), "handbag": (), "backpack": (), "flowerpot": (),
    "space shuttle": ("vehicle",),
    "airship": ("vehicle",), "altar": (), "bow": ("weapon",), "honeycomb": (), "knot": (), "hook": (), "pier": (),
    "soap": (), "pill": (), "key": (), "lock": (), "gear": (), "pencil": (), "pen": (), "crayon": (), "ruler": (),
    "bucket": (),
    "basket": (), "ladder": (), "paperclip": (), "pushpin": (), "syringe": (), "toothbrush": (), "razor": (),
    "shield": (),
    "boomerang": (), "flagpole": (), "tree": ("plant",), "cactus": ("plant",), "palm": ("plant",), "pine": ("plant",),
    "leaf": (), "water": ("drink",), "plastic bag": (), "carousel": (), "airplane wing": (),
    "shipwreck": ("ship", "boat", "vehicle"),
    "rocket": ("vehicle",), "missile": ("weapon",), "baby's dummy": (), "website": (), "home cinema": (),
    "plate rack": (),
    "space bar": (), "car mirror": (), "car wheel": (), "toilet seat": (), "muzzle": (), "knee pad": ("clothes",),
    "backhoe": (), "dock": (), "fountain": (), "stone wall": (), "bannister": (), "totem pole": (), "turnstile": (),
}  # fmt: skip
_MEASURE = (
    ("fish", "条"), ("snake", "条"), ("animal", "只"), ("boat", "艘"), ("airplane", "架"), ("vehicle", "辆"),
    ("building", "座"), ("clothes", "件"), ("drink", "杯"), ("flower", "朵"), ("plant", "棵"), ("furniture", "张"),
    ("tool", "把"), ("weapon", "把"),
)  # fmt: skip
_IRREGULAR = {
    "man": "men", "woman": "women", "person": "people", "child": "children", "mouse": "mice", "goose": "geese",
    "knife": "knives", "wolf": "wolves", "leaf": "leaves", "shelf": "shelves", "calf": "calves", "fish": "fish",
    "sheep": "sheep", "deer": "deer", "aircraft": "aircraft", "ox": "oxen", "foot": "feet", "tooth": "teeth",
    "scarf": "scarves", "bison": "bison", "cattle": "cattle", "luggage": "luggage", "clothing": "clothing",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Name:
    """Hold the words for one sort of thing.

    Args:
        key: The key of `NAMES`, unique.
        text: English singular as it is spoken, with no article.
        plural: English plural.
        chinese: Chinese name.
        measure: Chinese measure word.
        kinds: Keys of the kinds that it belongs to, most special first.
        synonyms: Other English words for the same, each as (singular, plural).
        chinese_synonyms: Other Chinese words for the same.
        everyday: True for everyday names, which questions about absent things choose from.
    """

    key: str
    text: str
    plural: str
    chinese: str
    measure: str
    kinds: tuple[str, ...]
    synonyms: tuple[tuple[str, str], ...] = ()
    chinese_synonyms: tuple[str, ...] = ()
    everyday: bool = True

    @property
    def bare(self) -> str:
        """Return the word without its portion: "jeans" of "pair of jeans"; "" for a name that has none."""
        return self.text.partition(" of ")[2]

    @property
    def article(self) -> str:
        """Return "a" or "an"."""
        return article(self.text)

    @property
    def one(self) -> str:
        """Return the singular with its article, as an answer names it."""
        return f"{self.article} {self.text}"


def article(text: str) -> str:
    """Return "a" or "an" for what follows."""
    first = text.split()[0].lower()
    if first.startswith(("uni", "use", "euro", "one", "ukulele", "u-")):
        return "a"
    if first in ("hour", "hourglass", "honest", "mp3"):
        return "an"
    return "an" if first[0] in "aeiou" else "a"


def plural_of(text: str) -> str:
    """Return the plural of an English name; of "pair of jeans" it is "pairs of jeans"."""
    head, of, tail = text.partition(" of ")
    if of:
        return f"{plural_of(head)} of {tail}"
    start, _, last = text.rpartition(" ")
    low = last.lower()
    if low in _IRREGULAR:
        last = _IRREGULAR[low]
    elif low.endswith(("s", "x", "ch", "sh", "z")):
        last += "es"
    elif low.endswith("y") and low[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{start} {last}".strip()


def _entries(table: str) -> list[tuple[str, str]]:
    """Return (heading, entry) pairs of a table whose lines may go on without a heading."""
    heading, found = "", []
    for line in table.splitlines():
        head, colon, rest = line.partition(": ") if not line.startswith("  ") else ("", "", line)
        if colon:
            heading, line = head, rest
        found += [(heading, entry.strip()) for entry in line.split(",") if entry.strip()]
    return found


def _synonyms() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for line in nametable.SYNONYMS.strip().splitlines():
        key, _, rest = line.partition(":")
        english, _, chinese = rest.partition("|")
        words = tuple(w.strip() for w in english.split(",") if w.strip())
        others = tuple(w.strip() for w in chinese.split(",") if w.strip())
        before = found.get(key, ((), ()))
        found[key] = before[0] + words, before[1] + others
    return found


_SYNONYMS = _synonyms()


def _kinds(key: str, kind: str, listed: tuple[str, ...] = ()) -> tuple[str, ...]:
    if key in _MORE_KINDS:
        return _MORE_KINDS[key]
    kinds = listed or (kind, *_PARENTS.get(kind, ()))
    if kind == "creature":
        kinds = ("animal",)
    if set(kinds) & {"flower", "fruit", "vegetable"}:
        kinds = tuple(dict.fromkeys([k for name in kinds for k in (name, *_PARENTS.get(name, ()))]))
    if "ship" in kinds:
        kinds = tuple(dict.fromkeys([*kinds[: kinds.index("ship") + 1], "boat", *kinds[kinds.index("ship") + 1 :]]))
    return tuple(k for k in kinds if k not in _NO_KIND and k != key)


def _name(key: str, plural: str, chinese: str, measure: str, kinds: tuple[str, ...], everyday: bool) -> Name:
    text = nametable.SPOKEN.get(key, key)
    if text != key or not plural:
        plural = plural_of(text)
    english, others = _SYNONYMS.get(key, ((), ()))
    if not measure:
        measure = next((m for kind, m in _MEASURE if kind in kinds or kind == key), "个")
    return Name(
        key=key,
        text=text,
        plural=plural,
        chinese=nametable.SPOKEN_CHINESE.get(key, chinese),
        measure=measure,
        kinds=kinds,
        synonyms=tuple((word, plural_of(word)) for word in english if word != text),
        chinese_synonyms=tuple(word for word in others if word != chinese),
        everyday=everyday,
    )


def _build() -> tuple[dict[str, Name], tuple[str, ...]]:
    names: dict[str, Name] = {}
    for key, concept in CONCEPTS.items():
        chinese, measure = CHINESE_CONCEPTS[key]
        plural = "" if key in nametable.SPOKEN else concept.plural
        names[key] = _name(key, plural, chinese, measure, _kinds(key, concept.kind), True)
    for kind, entry in _entries(nametable.EVERYDAY):
        english, _, right = entry.partition("=")
        key, _, plural = english.partition("/")
        chinese, _, measure = right.partition(":")
        parents = _PARENTS.get(key, ()) if kind == "kind" else _kinds(key, kind)
        if key not in names:
            names[key] = _name(key, plural, chinese, measure, parents, True)
    renamed = {}
    for _, entry in _entries(nametable.IMAGENET):
        number, _, key = entry.partition(" ")
        renamed[int(number)] = key
    classes = []
    for i, label in enumerate(json.loads(LABELS.read_text(encoding="utf-8"))):
        key = renamed.get(i, label["name"])
        classes.append(key)
        if key not in names:
            chinese = label["others"]["zh"]["name"]
            names[key] = _name(key, "", chinese, "", _kinds(key, "thing", tuple(label["kinds"])), False)
    return names, tuple(classes)


NAMES, IMAGENET = _build()  # key -> its words; the key of each ImageNet class, in the tower's order

# The 80 COCO classes in their usual order, under the keys of `NAMES`.
COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "ski", "snowboard",
    "ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hotdog", "pizza", "doughnut", "cake", "chair", "couch", "potted plant", "bed", "table", "toilet",
    "television", "laptop", "computer mouse", "remote control", "keyboard", "phone", "microwave", "oven", "toaster",
    "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair dryer", "toothbrush",
)  # fmt: skip


@cache
def is_a(key: str, kind: str) -> bool:
    """Return True if a thing of this name is certainly one of this kind (or has this very name)."""
    return key == kind or kind in NAMES[key].kinds


@cache
def _groups() -> dict[str, frozenset[str]]:
    """Return for each name the names that may be taken for it."""
    found: dict[str, set[str]] = {}
    for line in nametable.CONFUSABLE.replace("\n  ", " ").strip().splitlines():
        group = {w.strip() for w in line.split(",")}
        for word in group:
            found.setdefault(word, set()).update(group)
    return {word: frozenset(group) for word, group in found.items()}


def _words(name: Name) -> set[str]:
    return {name.text, *(s for s, _ in name.synonyms)}


@cache
def may_be(key: str, other: str) -> bool:
    """Return True if a thing named `key` might be called `other`, so that denying it would not be safe."""
    if is_a(key, other) or is_a(other, key):
        return True
    groups, a, b = _groups(), NAMES[key], NAMES[other]
    both = {other, *b.kinds}
    if any(o in groups.get(k, ()) for k in (key, *a.kinds) for o in both if o not in _GENERAL and k not in _GENERAL):
        return True
    if a.chinese == b.chinese or {a.chinese, *a.chinese_synonyms} & {b.chinese, *b.chinese_synonyms}:
        return True
    spoken, others = _words(a), _words(b)
    return any(x in y.split() or y in x.split() for x in spoken for y in others)


_GENERAL = frozenset({"animal", "vehicle", "food", "plant", "furniture", "person", "clothes", "tool", "weapon"})
