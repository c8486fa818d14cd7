from __future__ import annotations

import pytest
import torch

from lavida.errors import CheckpointError
from lavida.model.efficientnet import EfficientNetLite0, from_pretrained_state


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
    before = tower(x)
    logits = tower.classify(before)
    assert before.shape == (1, 49, 320)
    after = tower.fuse()(x)
    assert torch.allclose(before, after, atol=1e-4 * before.abs().max().item())
    assert torch.allclose(logits, tower.classify(after), atol=1e-3)
    assert not [name for name, _ in tower.named_buffers()]


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
