"""Evidence of a picture from the shipped tower, and its tensors."""

from pathlib import Path

import pytest
import torch
from PIL import Image

import lavida
from lavida.checkpoint.io import load_checkpoint
from lavida.errors import ConfigError
from lavida.evidence.detector import Box
from lavida.evidence.gather import Parts, by_kind, class_logits, evidence_of, in_order
from lavida.image.tiles import Grid, views
from lavida.text.labels import load_labels

ASSETS = Path(lavida.__file__).parent / "assets"


@pytest.fixture(scope="module")
def model():
    vlm, config = load_checkpoint(ASSETS / "mini", dtype=torch.float32)
    return vlm, Parts(tower=vlm.tower, vision=config.vision, labels=load_labels(ASSETS / "mini"))


@pytest.fixture(scope="module")
def demo(model):
    vlm, _ = model
    picture = Image.open(ASSETS / "demo.jpg")
    pixels, grid = views(picture, vlm.config.vision, vlm.config.tiles)
    with torch.no_grad():
        return picture, pixels, grid, vlm.tower.trunk(pixels)


def test_mean_of_cell_logits_is_the_classifiers(model, demo):
    vlm, _ = model
    with torch.no_grad():
        cells, whole = class_logits(vlm.tower, demo[3]), vlm.tower.classify(demo[3])
    assert cells.shape == (5, 49, 1000)
    assert torch.allclose(cells.mean(1), whole, atol=1e-3)


def test_evidence_of_the_demo_photograph(model, demo):
    _, parts = model
    evidence = evidence_of(*demo, parts)
    told = evidence.to_json()
    assert "cat" in told["names"][0]["name"] or "tabby" in told["names"][0]["name"]
    assert told["boxes"] == [] and told["monochrome"] is False and 0.3 < told["brightness"] < 0.7
    inputs = evidence.inputs(8)
    assert inputs.classes.shape == (1, 80, 5) and inputs.scores.sum() == 0
    assert torch.allclose(inputs.colours.sum(-1), torch.ones(1, 80), atol=1e-4)


def test_boxes_become_numbered_tensors(model, demo):
    picture, pixels, grid, maps = demo
    edges = [(0.6, 0.1, 0.8, 0.4), (0.1, 0.1, 0.3, 0.4), (0.4, 0.5, 0.9, 0.9)]
    names = ["dog", "dog", "person"]
    found = [
        Box(name=n, score=s, left=e[0], top=e[1], right=e[2], bottom=e[3])
        for n, s, e in zip(names, (0.5, 0.9, 0.7), edges, strict=True)
    ]
    _, parts = model
    parts = Parts(tower=parts.tower, vision=parts.vision, labels=parts.labels, detector=lambda _: found)
    inputs = evidence_of(picture, pixels, grid, maps, parts).inputs(4)
    assert inputs.things[0].tolist() == [16, 16, 0, 0]
    assert inputs.scores[0].tolist() == pytest.approx([0.9, 0.5, 0.7, 0.0])  # dogs from left to right, then the person
    assert inputs.numbers[0].tolist() == [1, 2, 1, 0] and inputs.counts[0].tolist() == [2, 2, 1, 0]


def test_order_of_kinds():
    boxes = [Box(name=n, score=s, left=x, top=0, right=x + 0.1, bottom=1) for n, s, x in
             (("a", 0.4, 0.5), ("b", 0.6, 0.2), ("a", 0.9, 0.7))]  # fmt: skip
    assert [(b.name, b.score) for b in by_kind(boxes)] == [("a", 0.4), ("a", 0.9), ("b", 0.6)]


def test_cells_come_in_the_order_of_the_image_tokens():
    views = torch.zeros(5, 16, 1)
    views[2, 5] = 7.0  # the upper right tile, second row, second column
    at = in_order(views)[16:, 0].reshape(8, 8).nonzero().tolist()
    assert at == [[1, 5]]


def test_another_grid_is_refused(model, demo):
    _, parts = model
    with pytest.raises(ConfigError, match="2 x 2"):
        evidence_of(demo[0], demo[1], Grid(columns=1, rows=1, width=1, height=1), demo[3], parts)
