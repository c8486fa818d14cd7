"""The detector: its maps, boxes and packed weights."""

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lavida.errors import CheckpointError
from lavida.evidence.detector import (
    BINS,
    COCO,
    SIDE,
    Detector,
    NanoDet,
    decode,
    fit,
    pack_weights,
    suppress,
    unpack_weights,
)


@pytest.fixture
def net():
    torch.manual_seed(3)
    return NanoDet().eval()


def test_maps_of_three_strides(net):
    with torch.no_grad():
        maps = net(torch.zeros(1, 3, SIDE, SIDE))
    assert [tuple(m.shape) for m in maps] == [(1, 80 + 4 * BINS, side, side) for side in (52, 26, 13)]
    scores, edges = decode(maps)
    assert scores.shape == (3549, 80) and edges.shape == (3549, 4)


def test_a_box_at_a_known_cell():
    maps = [torch.full((1, 80 + 4 * BINS, side, side), -20.0) for side in (52, 26, 13)]
    maps[1][0, COCO.index("dog"), 10, 4] = 3.0
    for edge, distance in enumerate((1, 2, 3, 4)):
        maps[1][0, 80 + edge * BINS + distance, 10, 4] = 30.0
    ((score, kind, edges),) = suppress(*decode(maps), min_score=0.3, limit=5)
    x, y = 4.5 * 16, 10.5 * 16
    assert COCO[kind] == "dog" and score == pytest.approx(0.9526, abs=1e-3)
    assert edges == pytest.approx((x - 16, y - 32, x + 48, y + 64), abs=1e-2)


def test_overlapping_boxes_of_one_kind_are_one():
    scores = torch.zeros(3, 80)
    scores[0, 16], scores[1, 16], scores[2, 15] = 0.9, 0.8, 0.7
    edges = torch.tensor([[0, 0, 100, 100], [5, 5, 105, 105], [300, 300, 400, 400.0]])
    assert [kind for _, kind, _ in suppress(scores, edges, min_score=0.3, limit=5)] == [16, 15]


def test_letterbox_is_undone_and_weights_survive_int8(net, tmp_path):
    packed = pack_weights(net.state_dict())
    assert all(t.dtype != torch.float32 for t in packed.values())
    for name, tensor in unpack_weights(packed).items():
        assert torch.allclose(tensor, net.state_dict()[name], atol=float(net.state_dict()[name].abs().max()) / 120)
    save_file(packed, tmp_path / "weights.safetensors")
    boxes = Detector(tmp_path / "weights.safetensors")(Image.new("RGB", (300, 100), (10, 200, 30)), min_score=0.0)
    assert boxes and all(0 <= b.left < b.right <= 1 and 0 <= b.top < b.bottom <= 1 for b in boxes)


def test_fit_keeps_the_ratio():
    pixels, scale, left, top = fit(Image.new("RGB", (832, 416), (255, 0, 0)))
    assert pixels.shape == (3, SIDE, SIDE) and (scale, left, top) == (0.5, 0, 104)
    assert pixels[2, 208, 208] == pytest.approx((255 - 123.675) / 58.395)  # red comes last


def test_another_file_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="detector's weights"):
        Detector(tmp_path / "weights.safetensors")
