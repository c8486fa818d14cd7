"""Invented photographs and the errors of their evidence."""

import random

import pytest
import torch

from mini.natural.names import COCO, IMAGENET, is_a
from mini.natural.simulate import BRIGHT, DARK, Simulator, drop_sources


@pytest.fixture(scope="module")
def simulator():
    return Simulator(torch.randn(1000, 32, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def made(simulator):
    rng = random.Random(4)
    return [simulator(rng) for _ in range(400)]


def test_the_same_seed_invents_the_same(simulator):
    a, b = simulator(random.Random(9)), simulator(random.Random(9))
    assert a.truth == b.truth and torch.equal(a.inputs.shares, b.inputs.shares)


def test_shapes_and_ranges(made):
    for one in made[:50]:
        i = one.inputs
        assert i.classes.shape == i.shares.shape == (1, 80, 5) and i.classes.max() < 1000
        assert (i.shares[..., :-1] >= 0).all() and (i.shares.sum(-1) <= 1.001).all()
        assert torch.allclose(i.colours.sum(-1), torch.ones(1, 80), atol=1e-4)
        assert (i.edges[..., 2:] >= i.edges[..., :2]).all() and i.edges.min() >= 0 and i.edges.max() <= 1
        assert ((i.numbers > 0) == (i.scores > 0)).all() and (i.numbers <= i.counts).all()


def test_brightness_agrees_with_the_truth(made):
    for one in made:
        light = float(one.inputs.look[0, 1])
        assert one.truth.brightness == ("dark" if light <= DARK else "bright" if light >= BRIGHT else "normal")


def test_boxes_miss_and_invent_as_measured(made):
    there = found = boxes = true = 0
    for one in made:
        names = {t.name for t in one.truth.things if t.name in COCO}
        kinds = {COCO[k] for k, s in zip(one.inputs.things[0].tolist(), one.inputs.scores[0].tolist()) if s > 0}
        there += len(names)
        found += len(names & kinds)
        boxes += len(kinds)
        true += sum(any(is_a(t.name, k) for t in one.truth.things) for k in kinds)
    assert 0.55 < found / there < 0.9
    assert 0.4 < true / boxes < 0.85


def test_first_class_is_often_but_not_always_right(made):
    alone = [one for one in made if len(one.truth.things) == 1 and one.truth.things[0].name in IMAGENET]
    right = [IMAGENET[int(one.inputs.top[0, 0])] == one.truth.things[0].name for one in alone]
    assert 0.35 < sum(right) / len(right) < 0.85


def test_dropped_sources_leave_nothing_behind(simulator):
    inputs = simulator(random.Random(1)).inputs
    empty, dropped = drop_sources(inputs, random.Random(0), odds=1.0)
    assert dropped == {"classes", "colours", "boxes", "whole"}
    for name in ("shares", "top_shares", "colours", "painted", "look", "scores", "edges"):
        assert not getattr(empty, name).any()
    same, dropped = drop_sources(inputs, random.Random(0), odds=0.0)
    assert not dropped and torch.equal(same.shares, inputs.shares)
