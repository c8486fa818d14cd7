"""Counted operations and the peak that they are held against."""

from __future__ import annotations

import torch
from torch import nn

from lavida.train.speed import count_flops, matmul_peak


def test_products_are_counted_forward_and_backward_and_chance_is_left_alone():
    layer, x = nn.Linear(8, 4, bias=False), torch.ones(3, 8)
    before = torch.get_rng_state()
    assert count_flops(lambda: layer(torch.rand(3, 8) + x).sum().backward()) == 2 * (2 * 3 * 8 * 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_compiled_layer_counts_as_any_other():
    layer, x = nn.Linear(8, 4, bias=False), torch.ones(3, 8)
    layer.compile(backend="eager")
    assert count_flops(lambda: layer(x)) == 2 * 3 * 8 * 4


def test_the_peak_is_one():
    assert 1e6 < matmul_peak("cpu", torch.float32) < 1e15
