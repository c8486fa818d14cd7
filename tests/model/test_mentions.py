"""Test what evidence says of a name that a prompt holds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lavida.errors import ConfigError
from lavida.model.evidence import EvidenceEmbedding
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.names import MAIN, Name
from lavida.text.things import EvidenceWords

D = 16
DOG, CAT, ANIMAL, NOTHING = range(4)
NAMES = [
    Name(words=("dog",), classes=(1,), things=(0,)),
    Name(words=("cat",), classes=(2,), things=(1,)),
    Name(words=("animal",), classes=(1, 2), things=(0, 1)),
    Name(words=("idea",), classes=(), things=()),
]
WORDS = EvidenceWords(
    classes=[[20], [21], [22], [23]], kinds=[[]] * 4, classes_zh=[[]] * 4, things=[[27], [28]], things_zh=[[], []],
    colours=[[i] for i in range(11)], colours_zh=[[]] * 11,
)  # fmt: skip


@pytest.fixture
def module() -> EvidenceEmbedding:
    """An entry of evidence that looks up four names."""
    part = EvidenceEmbedding(D, classes=4, things=2, boxes=3, names=len(NAMES))
    part.reset(torch.Generator().manual_seed(0))
    part.bind(WORDS, NAMES)
    return part.eval()


def pictures(scores: float = 0.6, left: float = 0.1) -> EvidenceInputs:
    """A picture of a black dog, then one of nothing."""
    shares, colours = torch.zeros(2, 80, 5), torch.zeros(2, 80, 11)
    shares[0, 40:48, 0] = 0.7
    colours[0, :, 8] = 1
    boxes = torch.zeros(2, 3)
    boxes[0, 0] = scores
    edges, painted = torch.zeros(2, 3, 4), torch.zeros(2, 3, 11)
    edges[0, 0] = torch.tensor([left, 0.2, left + 0.3, 0.6])
    painted[0, 0, 8] = 1
    return EvidenceInputs(
        classes=torch.ones(2, 80, 5, dtype=torch.long), shares=shares, colours=colours,
        things=torch.zeros(2, 3, dtype=torch.long), scores=boxes, edges=edges, painted=painted,
        numbers=torch.zeros(2, 3, dtype=torch.long), counts=torch.zeros(2, 3, dtype=torch.long),
        top=torch.tensor([[1, 2, 3], [1, 2, 3]]), top_shares=torch.tensor([[0.8, 0.1, 0.0], [0.0, 0.0, 0.0]]),
        look=torch.zeros(2, 3),
    )  # fmt: skip


@pytest.fixture
def table() -> Tensor:
    """An embedding table."""
    return torch.randn(40, D, generator=torch.Generator().manual_seed(1))


def told(
    module: EvidenceEmbedding, table: Tensor, names: list[int], inputs: EvidenceInputs, picture: int = 0
) -> Tensor:
    """Vectors of names that are asked about a picture."""
    return module.of_names(inputs, torch.full((len(names),), picture), torch.tensor(names), table)


def test_names_differ_by_what_is_seen(module: EvidenceEmbedding, table: Tensor) -> None:
    dog, cat, animal, nothing, main = told(module, table, [DOG, CAT, ANIMAL, NOTHING, MAIN], pictures())
    assert not torch.allclose(dog, cat, atol=1e-2) and not torch.allclose(cat, animal, atol=1e-2)
    empty = told(module, table, [DOG, CAT, NOTHING], pictures(), picture=1)
    assert torch.allclose(empty[0], empty[1], atol=1e-6)  # neither is there
    assert not torch.allclose(dog, empty[0], atol=1e-2) and not torch.allclose(main, empty[0], atol=1e-2)
    assert torch.isfinite(empty).all() and torch.isfinite(nothing).all()


def test_an_animal_is_named_by_the_class_that_was_seen(module: EvidenceEmbedding, table: Tensor) -> None:
    with torch.no_grad():
        module.mentions.outer.weight.zero_()
        module.mentions.gains[1:].zero_()
    (animal,) = told(module, table, [ANIMAL], pictures())
    assert torch.allclose(animal, 0.8 * 0.5 * module.tables(table)["classes"][1], atol=1e-6)


def test_place_and_number_of_boxes_count(module: EvidenceEmbedding, table: Tensor) -> None:
    left = told(module, table, [DOG], pictures(left=0.1))
    assert not torch.allclose(left, told(module, table, [DOG], pictures(left=0.6)), atol=1e-3)
    assert not torch.allclose(left, told(module, table, [DOG], pictures(scores=0.3)), atol=1e-3)


def test_gradients_reach_every_parameter(module: EvidenceEmbedding, table: Tensor) -> None:
    module.train()
    told(module, table, [DOG, CAT, MAIN], pictures()).square().sum().backward()
    missing = [name for name, p in module.mentions.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_names_of_another_model_are_refused() -> None:
    part = EvidenceEmbedding(D, classes=4, things=2, boxes=3, names=3)
    with pytest.raises(ConfigError, match="looks up 3 names and its names.json holds 4"):
        part.bind(WORDS, NAMES)
    with pytest.raises(ConfigError, match="call bind"):
        part.of_names(pictures(), torch.zeros(1, dtype=torch.long), torch.tensor([0]), torch.zeros(40, D))
