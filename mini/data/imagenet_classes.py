"""Names and kinds of the tower's 1,000 ImageNet classes, from WordNet 3.0 (a synset id is an offset into data.noun)."""

from __future__ import annotations

from pathlib import Path

from lavida.text.labels import Label

# Kinds that people log, most special first: the lemma of a hypernym -> the word used here.
KIND_WORDS = {
    "dog": "dog", "cat": "cat", "wolf": "wolf", "fox": "fox", "bear": "bear", "monkey": "monkey", "ape": "ape",
    "horse": "horse", "sheep": "sheep", "rabbit": "rabbit", "elephant": "elephant", "whale": "whale", "shark": "shark",
    "snake": "snake", "lizard": "lizard", "turtle": "turtle", "frog": "frog", "spider": "spider", "butterfly": "butterfly",
    "beetle": "beetle", "crab": "crab", "lobster": "lobster", "duck": "duck", "parrot": "parrot", "owl": "owl",
    "insect": "insect", "bird": "bird", "fish": "fish", "animal": "animal", "mushroom": "mushroom", "fungus": "mushroom",
    "flower": "flower", "plant": "plant", "car": "car", "bus": "bus", "truck": "truck", "train": "train",
    "airplane": "airplane", "ship": "ship", "boat": "boat", "bicycle": "bicycle", "vehicle": "vehicle",
    "edible_fruit": "fruit", "vegetable": "vegetable", "beverage": "drink", "food": "food", "foodstuff": "food",
    "ball": "ball", "hat": "hat", "shoe": "shoe", "clothing": "clothes", "footwear": "clothes", "garment": "clothes",
    "musical_instrument": "instrument", "timepiece": "clock", "computer": "computer", "weapon": "weapon", "tool": "tool",
    "furniture": "furniture", "bottle": "bottle", "container": "container", "house": "house", "building": "building",
    "structure": "building", "mountain": "mountain", "geological_formation": "landscape", "device": "device",
    "person": "person", "covering": "covering", "instrumentality": "thing", "artifact": "thing",
}  # fmt: skip


def read_labels(synsets: Path, nouns: Path) -> list[Label]:
    """Read labels in the tower's order, from a file of synset ids and WordNet's `data.noun`."""
    lines = {}
    for line in nouns.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            lines[int(line[:8])] = line.split(" | ")[0].split()
    return [_label(lines, int(s[1:])) for s in synsets.read_text().split()]


def _words(fields: list[str]) -> list[str]:
    return [fields[4 + 2 * i] for i in range(int(fields[3], 16))]


def _label(lines: dict[int, list[str]], offset: int) -> Label:
    name = _words(lines[offset])[0].replace("_", " ")
    kinds: list[str] = []
    todo, seen = [offset], set()
    while todo:
        at = todo.pop(0)
        if at in seen:
            continue
        seen.add(at)
        fields = lines[at]
        kinds += [KIND_WORDS[w] for w in _words(fields) if w in KIND_WORDS]
        first = 4 + 2 * int(fields[3], 16)
        pointers = [fields[first + 1 + 4 * i : first + 5 + 4 * i] for i in range(int(fields[first]))]
        todo += [int(p[1]) for p in pointers if p[0] in ("@", "@i") and p[2] == "n"]
    order = list(dict.fromkeys(KIND_WORDS.values()))
    unique = sorted({k for k in kinds if k != name}, key=order.index)
    return Label(name=name, kinds=tuple(unique) or ("thing",))
