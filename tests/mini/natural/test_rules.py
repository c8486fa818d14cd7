"""The rules read questions of either language and look names up in the evidence."""

from __future__ import annotations

import pytest
import torch

from lavida.evidence.detector import Box
from lavida.evidence.gather import Evidence
from lavida.evidence.reader import Text
from lavida.text.things import COLOURS
from mini.natural.names import IMAGENET
from mini.natural.rules import Rules


@pytest.fixture(scope="module")
def rules() -> Rules:
    """Rules about a photograph of a black dog on the left, with a sign."""
    beagle = IMAGENET.index("beagle")
    colours = torch.zeros(80, 11)
    colours[:, COLOURS.index("green")] = 1
    black = torch.zeros(1, 11)
    black[0, COLOURS.index("black")] = 1
    evidence = Evidence(
        labels=(),
        classes=torch.full((80, 5), beagle),
        shares=torch.full((80, 5), 0.02),
        colours=colours,
        top=torch.tensor([beagle, 0, 1]),
        top_shares=torch.tensor([0.8, 0.1, 0.05]),
        boxes=(Box(name="dog", score=0.7, left=0.05, top=0.3, right=0.3, bottom=0.7),),
        painted=black,
        monochrome=False,
        brightness=0.6,
        texts=(Text(text="EXIT", score=0.9, left=0.5, top=0.1, right=0.7, bottom=0.2),),
    )
    return Rules(evidence)


@pytest.mark.parametrize(
    "question, answer",
    [
        ("Is there a dog in the picture?", "Yes."),
        ("Is there a cat in the picture?", "No."),
        ("图里有狗吗？", "有。"),
        ("What animal is this?", "a beagle"),
        ("What colour is the dog?", "black"),
        ("Is the dog white?", "No."),
        ("Where is the dog?", "on the left"),
        ("狗在哪里？", "左边"),
        ("How many dogs are there?", "one dog"),
        ("Is it a dog or a cat?", "a dog"),
        ("Is the picture black and white?", "No."),
        ("What does the sign say?", "It says EXIT."),
        ("What is the name of the owner?", "I cannot tell from the picture."),
        ("它多少钱？", "看图无法判断。"),
    ],
)
def test_rules_answer_by_the_evidence(rules: Rules, question: str, answer: str) -> None:
    assert rules(question) == answer
