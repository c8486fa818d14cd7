from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lavida.errors import ConfigError
from lavida.nn import quant
from lavida.nn.quant import Int4Linear, Int8Linear, QuantLinear, replace_linears

KINDS = (Int8Linear, Int4Linear)


def _weight(rows: int, width: int) -> Tensor:
    """Random, with an outlier, a row of zeros and a row of one value."""
    weight = torch.randn(rows, width, generator=torch.Generator().manual_seed(0))
    weight[0, 3], weight[1], weight[2] = 40.0, 0.0, 0.7
    return weight


def _spelt(layer: QuantLinear) -> Tensor:
    """The weight that the layer multiplies with."""
    return layer(torch.eye(layer.in_features)).T


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_weight_of_8_bits_is_at_most_half_a_step_off(dtype: torch.dtype) -> None:
    weight = _weight(9, 256).to(dtype).float()
    step = weight.abs().amax(1, keepdim=True) / 127 * (1 + 2**-8)
    assert torch.all((_spelt(Int8Linear(weight.to(dtype))) - weight).abs() <= step * 0.51)
    assert torch.all((_spelt(Int8Linear(weight.to(dtype)))[1:3] - weight[1:3]).abs() <= 0.7 * 2**-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_weight_of_4_bits_is_at_most_half_a_step_of_its_group_off(dtype: torch.dtype) -> None:
    weight = _weight(9, 512).to(dtype).float()
    groups = weight.unflatten(1, (4, 128))
    # The offset is rounded too: by at most 2^-9 of its size in bfloat16.
    step = (groups.amax(-1) - groups.amin(-1)) / 15 * (1 + 2**-7)
    room = 0.5 * step + groups.abs().amax(-1) * 2**-8
    off = (_spelt(Int4Linear(weight.to(dtype))) - weight).unflatten(1, (4, 128)).abs()
    assert torch.all(off <= room[..., None])
    assert off[3:].max() > 0.1 * step[3:].min()  # it is 4 bits, not the weight itself


@pytest.mark.parametrize(("kind", "error"), [(Int8Linear, 0.012), (Int4Linear, 0.12)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_near_those_of_float32(kind: type[QuantLinear], error: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    weight, x = torch.randn(96, 512, generator=generator), torch.randn(2, 7, 512, generator=generator)
    bias = nn.Parameter(torch.randn(96, generator=generator))
    y = kind(weight.to(dtype), nn.Parameter(bias.to(dtype)))(x.to(dtype))
    exact = nn.functional.linear(x, weight, bias)
    assert y.dtype == dtype and y.shape == (2, 7, 96)
    assert (y.float() - exact).norm() <= error * exact.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_packed_and_spelt_out_in_pieces_are_the_same(
    kind: type[QuantLinear], monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, x = _weight(10, 64), torch.randn(5, 64, generator=torch.Generator().manual_seed(2))
    whole = kind(weight)
    y = whole(x)
    for limit in ("_CACHED", "_PACKED"):
        monkeypatch.setattr(quant, limit, 64 * 3)  # three rows, and one that is left
    pieces = kind(weight)
    assert all(torch.equal(a, b) for a, b in zip(whole.buffers(), pieces.buffers(), strict=True))
    assert torch.allclose(pieces(x), y, atol=1e-5)


@pytest.mark.parametrize(("kind", "share"), [(Int8Linear, 0.51), (Int4Linear, 0.27)])
def test_it_is_as_small_as_it_says(kind: type[QuantLinear], share: float) -> None:
    weight = torch.ones(64, 2048, dtype=torch.bfloat16)
    assert sum(t.nbytes for t in kind(weight).state_dict().values()) <= share * weight.nbytes


def test_4_bits_take_any_even_width() -> None:
    weight = _weight(4, 36)
    layer = Int4Linear(weight)
    assert layer.scale.shape == (4, 18, 1)  # groups of two: gcd(18, 128)
    with pytest.raises(ConfigError, match="35 inputs"):
        Int4Linear(_weight(4, 35))


@pytest.mark.parametrize("kind", KINDS)
def test_only_linear_layers_are_replaced(kind: type[QuantLinear]) -> None:
    inner = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    model = nn.Sequential(inner, nn.Embedding(8, 8), nn.Linear(8, 4, bias=False))
    assert replace_linears(model, kind) == {"0.0", "2"}
    assert isinstance(model[0][0], kind) and model[0][0].bias is not None and model[2].bias is None
    assert isinstance(model[1], nn.Embedding) and isinstance(inner[1], nn.LayerNorm)


@pytest.mark.parametrize("kind", [Int8Linear, Int4Linear])
def test_gradients_pass_as_through_the_weight_that_it_stands_for(kind, monkeypatch):
    monkeypatch.setattr(quant, "_CACHED", 3 * 32)  # three rows at a time
    torch.manual_seed(0)
    layer = kind(torch.randn(20, 32))
    dense = layer(torch.eye(32)).T  # [20, 32]
    x, up = torch.randn(2, 5, 32, requires_grad=True), torch.randn(2, 5, 20)
    (given,) = torch.autograd.grad((layer(x) * up).sum(), x)
    (wanted,) = torch.autograd.grad(((x @ dense.T) * up).sum(), x)
    torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    (rounded,) = torch.autograd.grad((y * up).sum(), x)
    torch.testing.assert_close(rounded, wanted, atol=0.3, rtol=0.05)
