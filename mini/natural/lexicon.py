"""List the names that lavida-mini looks up in its evidence where a question holds them (`names.json`)."""

from __future__ import annotations

from lavida.text.names import Name
from mini.natural.names import COCO, IMAGENET, NAMES, is_a

# Words for people and things at large that are no name of a thing.
_MORE = {
    "person": ("anyone anybody someone somebody guy guys lady ladies kid kids humans 人 有人 人们 大家".split()),
    "animal": "creature creatures pet pets 动物 小动物 宠物".split(),
}


def model_names() -> list[Name]:
    """Return each name with its words in both languages, the classes and the detector's things that are called so.

    What the detector sees only as something more general counts too: a beagle where it sees a dog.
    """
    found = []
    for key, name in NAMES.items():
        english = [name.text, name.plural, name.bare, *(word for pair in name.synonyms for word in pair)]
        words = [*english, name.chinese, *name.chinese_synonyms, *_MORE.get(key, ())]
        found.append(
            Name(
                words=tuple(dict.fromkeys(word.lower() for word in words if word)),
                classes=tuple(i for i, other in enumerate(IMAGENET) if is_a(other, key)),
                things=tuple(i for i, other in enumerate(COCO) if is_a(other, key) or is_a(key, other)),
            )
        )
    return found
