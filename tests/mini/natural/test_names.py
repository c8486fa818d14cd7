"""The name table: every class has words in both languages, and kinds that hold."""

import re

import pytest

from mini.data.concepts import CONCEPTS
from mini.natural.names import COCO, IMAGENET, KINDS, NAMES, is_a, may_be, plural_of


def test_every_class_concept_and_kind_is_named():
    assert len(IMAGENET) == 1000 and len(COCO) == len(set(COCO)) == 80
    assert {*IMAGENET, *COCO, *KINDS, *CONCEPTS} <= NAMES.keys()
    assert {kind for name in NAMES.values() for kind in name.kinds} <= NAMES.keys()


def test_every_name_has_words():
    for name in NAMES.values():
        assert name.text and name.plural and name.measure and re.search("[一-鿿]|iPod|CD", name.chinese), name


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Egyptian cat", "cat"), ("golden retriever", "dog"), ("flamingo", "bird"), ("taxi", "car"), ("apple", "food"),
     ("container ship", "boat"), ("rose", "flower"), ("grand piano", "instrument")],
)  # fmt: skip
def test_kinds(name, kind):
    key = name if name in NAMES else "piano"
    assert is_a(key, kind)
    assert not is_a(kind, key)


@pytest.mark.parametrize(
    ("name", "other", "may"),
    [("lion", "cat", True), ("teddy bear", "bear", True), ("ambulance", "car", True), ("dog", "cat", False),
     ("dog", "bear", False), ("cow", "horse", False), ("traffic light", "bus", False), ("wolf", "dog", True)],
)  # fmt: skip
def test_names_that_may_be_taken_for_each_other(name, other, may):
    assert may_be(name, other) is may


@pytest.mark.parametrize(
    ("one", "several"),
    [("dog", "dogs"), ("bench", "benches"), ("pair of jeans", "pairs of jeans"), ("butterfly", "butterflies"),
     ("computer mouse", "computer mice"), ("toy", "toys"), ("sheep", "sheep")],
)  # fmt: skip
def test_plurals(one, several):
    assert plural_of(one) == several
