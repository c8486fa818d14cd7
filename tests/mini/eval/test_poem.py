from types import SimpleNamespace

import pytest
from PIL import Image

from lavida.errors import RequestError
from mini.data.scenes import Placed, Scene
from mini.eval.poem import PoemTask, as_table, distinct, evaluate, figures, prompt_with_starts

STARTS = ("A", "Be", "Ca", "De")
GOOD = "A cat on grass\nBetween the cats\nCan a cat be\nDeep in grass"
SCENE = Scene(objects=(Placed(cutout=0, name="cat", colour=None, x=0.5, y=0.5, w=0.2, h=0.2),), background=-1)
TASK = PoemTask(picture=Image.new("RGB", (8, 8)), scene=SCENE, starts=STARTS)


class Writer:
    """Says one thing when it is prompt_with_starts in words and another when it is held to a template."""

    def __init__(self, prompted, held, autoregressive=False):
        self.prompted, self.held = prompted, held
        self.net = SimpleNamespace(config=SimpleNamespace(denoiser=SimpleNamespace(autoregressive=autoregressive)))

    def ask(self, picture, question, *, length, template=None):
        assert (question == prompt_with_starts(STARTS)) is (template is None)
        return SimpleNamespace(text=self.held if template else self.prompted, steps=length)

    def log_likelihood(self, picture, question, text, *, rounds):
        return SimpleNamespace(value=-2.0 * len(text.split()), tokens=len(text.split()))


def test_the_constraint_is_told_in_words():
    assert prompt_with_starts(STARTS) == "Describe the image in 4 lines that begin with A, Be, Ca and De."


def test_arms_are_judged_by_their_lines():
    model = Writer("A cat.\n\n  Cats on grass", GOOD)
    twin = Writer("", GOOD.replace("Deep", "Not"), autoregressive=True)
    found = evaluate(model, twin, [TASK], log=lambda text: None)
    rows = {method: figures([TASK], written) for method, written in found.items()}
    assert rows["constrained"]["sentence"] == rows["constrained"]["sample"] == 1 == rows["infilled"]["sample"]
    assert rows["prompted"]["sentence"] == 0.25 and rows["prompted"]["sample"] == 0
    assert rows["twin constrained"]["sentence"] == 0.75 and rows["twin prompted"]["sentence"] == 0
    assert rows["constrained"]["likelihood"] == -2 and rows["constrained"]["noun_recall"] == 1
    assert rows["twin prompted"]["likelihood"] != rows["twin prompted"]["likelihood"]  # nothing was said
    table = as_table({"methods": rows})
    assert "| constrained | 1.00 | 1.00 | -2.00 |" in table and table.count("\n") == 6


def test_a_twin_must_write_left_to_right():
    with pytest.raises(RequestError, match="--objective ar"):
        evaluate(Writer("", GOOD), Writer("", GOOD), [TASK])


def test_repeated_pairs_are_not_distinct():
    assert distinct(["a cat", "a cat"]) == 0.5 and distinct(["a cat and a dog"]) == 1
