from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.nn import packed
from lavida.nn.packed import PackedHead, StoredTable, can_pack, padded_rows, products, together, with_gelu

DTYPES = [dtype for dtype in (torch.float32, torch.bfloat16) if can_pack(dtype)]


def _packed(*sizes: int, bias: bool = False, dtype: torch.dtype = torch.float32) -> tuple[list[nn.Linear], list]:
    torch.manual_seed(0)
    layers = [nn.Linear(24, size, bias=bias).to(dtype) for size in sizes]
    stand_ins = together(layers)
    for layer, stand_in in zip(layers, stand_ins):
        assert not stand_in.load_state_dict(layer.state_dict()).missing_keys
    return layers, stand_ins


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [False, True])
def test_products_are_those_of_the_plain_layers_and_weights_come_back_exactly(dtype: torch.dtype, bias: bool) -> None:
    layers, stand_ins = _packed(10, 7, 33, bias=bias, dtype=dtype)
    assert stand_ins[0].product.held.is_mkldnn
    x = torch.randn(2, 5, 24, dtype=dtype)
    together_, apart = products(x, *stand_ins), [layer(x) for layer in stand_ins]
    for layer, stand_in, y, z in zip(layers, stand_ins, together_, apart, strict=True):
        torch.testing.assert_close(y, layer(x), rtol=1e-5 if dtype == torch.float32 else 8e-3, atol=1e-5)
        assert torch.equal(y, z)
        state = stand_in.state_dict()
        assert {name: t.tolist() for name, t in state.items()} == {n: t.tolist() for n, t in layer.state_dict().items()}
        assert torch.equal(stand_in.unpacked().weight, layer.weight) and stand_in.unpacked().weight.requires_grad
        assert not list(stand_in.parameters())


def test_no_rows_and_one_row() -> None:
    (layer,), (stand_in,) = _packed(9)
    assert stand_in(torch.zeros(0, 24)).shape == (0, 9)
    torch.testing.assert_close(stand_in(torch.ones(24)), layer(torch.ones(24)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_is_that_of_the_plain_layer(dtype: torch.dtype) -> None:
    (layer,), (stand_in,) = _packed(33, bias=True, dtype=dtype)
    x = torch.randn(5, 24, dtype=dtype)
    exact = F.gelu(F.linear(x.double(), layer.weight.double(), layer.bias.double()), approximate="tanh")
    plain, packed_ = with_gelu(x, layer), with_gelu(x, stand_in)
    assert torch.equal(plain, F.gelu(layer(x), approximate="tanh"))
    distance = (packed_ - exact).abs().max()
    assert distance < 1e-5 if dtype == torch.float32 else distance <= (plain - exact).abs().max()
    x.requires_grad_()
    assert torch.equal(with_gelu(x, stand_in), with_gelu(x, layer))


def test_rows_are_not_filled_where_one_number_of_them_occurs(monkeypatch: pytest.MonkeyPatch) -> None:
    made, multiply = [], packed._multiply
    monkeypatch.setattr(packed, "_multiply", lambda x, *rest, **kw: made.append(len(x)) or multiply(x, *rest, **kw))
    for fill in (True, False):
        (stand_in,) = together([nn.Linear(24, 9, bias=False)], fill=fill)
        stand_in.take("weight", torch.ones(9, 24))
        for one in (stand_in, copy.deepcopy(stand_in), pickle.loads(pickle.dumps(stand_in))):
            assert one(torch.ones(27, 24)).shape == (27, 9)
    assert made == [32] * 3 + [27] * 3


def test_rows_are_filled_up_to_few_numbers() -> None:
    counts = [padded_rows(n) for n in range(2000)]
    assert all(n <= padded < n + n / 4 + 8 for n, padded in enumerate(counts)) and len(set(counts)) < 60
    (layer,), (stand_in,) = _packed(9, bias=True)
    x = torch.randn(2, 3, 24)
    for part in (x, x[:1, :1], x.transpose(0, 1), x[:, ::2]):
        torch.testing.assert_close(stand_in(part), layer(part))


def test_gradients_pass_to_the_input() -> None:
    layers, stand_ins = _packed(10, 7, bias=True)
    x = torch.randn(3, 24, requires_grad=True)
    (wanted,) = torch.autograd.grad(sum(layer(x).sin().sum() for layer in layers), x)
    (found,) = torch.autograd.grad(sum(y.sin().sum() for y in products(x, *stand_ins)), x)
    torch.testing.assert_close(found, wanted)


def test_a_copy_a_pickle_and_another_type() -> None:
    layers, stand_ins = _packed(10, 7, bias=True)
    both = nn.ModuleList(stand_ins)
    for twin in (copy.deepcopy(both), pickle.loads(pickle.dumps(both))):
        assert twin[0].product is twin[1].product is not stand_ins[0].product
        assert torch.equal(twin[1].weight, layers[1].weight) and torch.equal(twin[1].bias, layers[1].bias)
    both.to(torch.float64)  # which is not packed
    assert not both[0].product.held.is_mkldnn and both[1].weight.dtype == both[1].bias.dtype == torch.float64
    x = torch.randn(3, 24)
    torch.testing.assert_close(products(x.double(), *both)[1].float(), layers[1](x))
    both.float()
    assert torch.equal(both[0].weight, layers[0].weight) and both[0].product.held.is_mkldnn


def test_weights_can_be_loaded_again() -> None:
    layers, stand_ins = _packed(10, 7)
    other = nn.Linear(24, 7, bias=False)
    stand_ins[1].load_state_dict(other.state_dict())
    assert torch.equal(stand_ins[1].weight, other.weight) and torch.equal(stand_ins[0].weight, layers[0].weight)
    empty = together(layers)
    with pytest.raises(RuntimeError, match="Missing"):
        empty[0].load_state_dict({})


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_pieces_of_a_head(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "PIECE", 16)
    weight, x = torch.randn(50, 24).to(dtype), torch.randn(3, 24).to(dtype)
    head = PackedHead(50, tied=False)
    head.load_state_dict({"weight": weight})
    assert torch.equal(head.weight, weight) and torch.equal(head.state_dict()["weight"], weight)
    wanted = F.linear(x, weight)
    bound = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 8e-3, "atol": 1e-2}
    for part in (None, slice(0, 50), slice(16, 32), slice(32, 50), slice(5, 40), slice(48, 50)):
        torch.testing.assert_close(head(x, part), wanted[:, part or slice(None)], **bound)
        assert torch.equal(head(x, part), head(x)[:, part or slice(None)])
    tied = PackedHead(50, tied=True)
    tied.take("weight", weight)
    assert not tied.state_dict() and torch.equal(tied.weight, weight)


def test_without_the_operators_layers_stay_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(weight: Tensor) -> Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_reorder_linear_weight'")

    can_pack.cache_clear()
    monkeypatch.setattr(packed, "_pack", missing)
    try:
        assert not can_pack(torch.float32) and not can_pack(torch.bfloat16) and not can_pack(torch.float16)
        layers, stand_ins = _packed(10, 7)
        x = torch.randn(3, 24)
        torch.testing.assert_close(products(x, *stand_ins)[1], layers[1](x))
    finally:
        can_pack.cache_clear()


def test_a_product_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    multiply = packed._multiply
    can_pack.cache_clear()
    monkeypatch.setattr(packed, "_multiply", lambda x, weight, bias, **how: multiply(x, weight, bias, **how) * 1.001)
    try:
        assert not can_pack(torch.float32)
    finally:
        can_pack.cache_clear()


def test_a_table_that_is_kept_in_half_precision() -> None:
    table = StoredTable(torch.float32)
    stored = torch.randn(20, 6).bfloat16()
    table.load_state_dict({"weight": stored})
    ids = torch.tensor([[3, 19, 0]])
    assert torch.equal(table(ids), F.embedding(ids, stored.float())) and table.table.dtype == torch.bfloat16
    assert torch.equal(table.state_dict()["weight"], stored.float())
    assert table.to(torch.float64)(ids).dtype == torch.float64
