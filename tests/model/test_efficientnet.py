from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from lavida.errors import CheckpointError
from lavida.model.efficientnet import TRUNK, ConvNorm, EfficientNetLite0, from_pretrained_state


@pytest.fixture
def tower() -> EfficientNetLite0:
    torch.manual_seed(0)
    tower = EfficientNetLite0()
    for name, buffer in tower.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return tower.eval()


@torch.no_grad()
def test_folding_the_norms_changes_nothing(tower: EfficientNetLite0) -> None:
    x = torch.randn(1, 3, 224, 224)
    before, logits = tower(x), tower.classify(tower.trunk(x))
    assert before.shape == (1, 49, 320)
    after = tower.fuse()(x)
    assert torch.allclose(before, after, atol=1e-4 * before.abs().max().item())
    assert torch.allclose(logits, tower.classify(tower.trunk(x)), atol=1e-3)
    assert not [name for name, _ in tower.named_buffers()]


@pytest.mark.parametrize(("kernel", "side"), [(3, 16), (5, 16), (3, 15), (5, 15)])
def test_padding_of_a_strided_convolution_is_that_of_tensorflow(kernel: int, side: int) -> None:
    torch.manual_seed(0)
    layer = ConvNorm(4, 4, kernel, 2, depthwise=True, linear=True)
    layer.eval().fuse()
    x = torch.randn(2, 4, side, side)
    pad = (-(-side // 2) - 1) * 2 + kernel - side  # of both ends together; the odd one comes last
    padded = F.pad(x, [pad // 2, pad - pad // 2] * 2)
    with torch.no_grad():
        assert torch.equal(layer(x), F.conv2d(padded, layer.conv.weight, layer.conv.bias, 2, groups=4))


def test_an_adapted_end_leaves_the_classifier_alone(tower: EfficientNetLite0) -> None:
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        maps = tower.fuse().trunk(x)
        logits, before = tower.classify(maps), tower(x)
        tower.adapt()
        assert maps.shape == (1, 196, 80) and torch.equal(tower(x), before)
        tower.adapted[-1].project.conv.weight.mul_(2)
        assert not torch.allclose(tower(x), before)
        assert torch.equal(tower.pretrained_features(maps), before) and torch.equal(tower.classify(maps), logits)
    other = EfficientNetLite0()
    other.take_form(tower.state_dict().keys())
    other.load_state_dict(tower.state_dict())
    assert torch.equal(other(x), tower(x))


def test_gradients_with_frozen_depthwise_filters_are_those_of_the_whole_network(tower: EfficientNetLite0) -> None:
    tower.fuse()
    adapted, whole = tower.adapt(), copy.deepcopy(tower.blocks[TRUNK:]).requires_grad_(True)
    maps = torch.rand(2, 196, 80)
    tower.features(maps).square().sum().backward()
    tower._end(maps, whole).square().sum().backward()
    compared = 0
    for (name, ours), theirs in zip(adapted.named_parameters(), whole.parameters(), strict=True):
        if "depthwise.conv.weight" in name:
            assert ours.grad is None and theirs.grad is not None
        else:
            assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4 * float(theirs.grad.abs().max())), name
            compared += 1
    assert compared == 5 * len(adapted)


def test_size_is_that_of_the_published_network(tower: EfficientNetLite0) -> None:
    assert sum(p.numel() for p in tower.parameters()) == 4_652_008


def test_published_names_cover_every_tensor(tower: EfficientNetLite0) -> None:
    theirs = {}
    for name, tensor in tower.state_dict().items():
        head, _, leaf = name.rpartition(".")
        head = head.replace("stem.conv", "_conv_stem").replace("stem.norm", "_bn0").replace("classifier", "_fc")
        head = head.replace("head.conv", "_conv_head").replace("head.norm", "_bn1").replace("blocks", "_blocks")
        for part, conv, norm in (
            ("expand", "_expand_conv", "_bn0"),
            ("depthwise", "_depthwise_conv", "_bn1"),
            ("project", "_project_conv", "_bn2"),
        ):
            head = head.replace(f"{part}.conv", conv).replace(f"{part}.norm", norm)
        theirs[f"{head}.{leaf}"] = tensor
    assert set(from_pretrained_state(theirs)) == set(tower.state_dict())


def test_foreign_tensors_are_refused() -> None:
    with pytest.raises(CheckpointError, match="layer4"):
        from_pretrained_state({"layer4.0.weight": torch.zeros(1)})
