"""Names in questions, and where they are shown."""

import pytest

from mini.natural.mentions import UNKNOWN, Mentions, shown_cells, word_of
from mini.natural.truth import Thing, Truth

TRUTH = Truth(
    things=(
        Thing(name="dog", colour="brown", box=(0.0, 0.0, 0.5, 0.5)),
        Thing(name="dog", colour=None, box=(0.9, 0.9, 0.95, 0.95)),
    )
)


@pytest.mark.parametrize(
    ("question", "language", "mentions"),
    [
        ("Are there any Dogs or traffic lights here?", "en", ("dog|Dogs", "traffic light|traffic lights")),
        ("What is this?", "en", ()),
        ("图里有狗还是红绿灯？", "zh", ("dog|狗", "traffic light|红绿灯")),
    ],
)
def test_names_are_found(question, language, mentions):
    assert Mentions()(question, language, TRUTH) == mentions


def test_of_an_incomplete_truth_only_what_is_certain_is_told():
    partial = Truth(things=TRUTH.things, complete=frozenset({"cat"}))
    assert Mentions()("a dog, a cat or a horse", "en", partial) == ("dog|dog", "cat|cat")
    assert shown_cells(partial, "dog|dog")[1] == UNKNOWN and shown_cells(partial, "cat|cat")[1] == 0


def test_cells_of_boxes_and_small_things():
    shown, number = shown_cells(TRUTH, "animal|animal")
    assert number == 2 and word_of("dog|Dogs") == "Dogs"
    assert shown[:16].reshape(4, 4).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [3, 3]]
    assert shown[16:].reshape(8, 8)[:4, :4].all() and shown[16:].sum() == 17
