from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import lavida
from lavida.api import Model
from lavida.checkpoint import io
from lavida.checkpoint.io import load_checkpoint, save_checkpoint
from lavida.checkpoint.named import find_model, load_net
from lavida.engine import Engine
from lavida.model import packing, placement
from lavida.model.packing import pack_products, unpack_products
from lavida.model.vlm import VLM
from lavida.nn import packed
from lavida.nn.packed import PackedHead, PackedLinear, StoredTable, can_pack
from lavida.train.finetune import thaw
from lavida.train.lora import Lora, add_adapters
from tests.pictures import gradient
from tests.tiny import tiny_model

pytestmark = pytest.mark.skipif(not can_pack(torch.float32), reason="this processor has no packed products")
PICTURES = [gradient(60 + 10 * i, 50) for i in range(2)]


def _state(net: VLM) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack weights of any size, and the vocabulary in several pieces."""
    monkeypatch.setattr(packing, "LEAST", 0)
    monkeypatch.setattr(packed, "PIECE", 64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_is_packed_and_unpacked_without_a_change(dtype: torch.dtype, small_pieces: None) -> None:
    net = tiny_model().net.to(dtype)
    before = _state(net)
    assert pack_products(net) is net
    kinds = {type(layer) for layer in net.denoiser.modules() if layer is not net.denoiser.embedding}
    assert PackedLinear in kinds and nn.Linear not in kinds and PackedHead in kinds
    assert _same(_state(net), before) and placement.is_as_trained(net)
    unpack_products(net)
    assert _same(_state(net), before) and set(dict(net.named_parameters())) == set(before) - _buffers(net)
    assert not any(isinstance(layer, (PackedLinear, PackedHead)) for layer in net.modules())


def _buffers(net: VLM) -> set[str]:
    return set(dict(net.named_buffers()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_answers_in_the_engine_are_those_of_a_packed_model_alone(dtype: torch.dtype, small_pieces: None) -> None:
    model = tiny_model()
    pack_products(model.net.to(dtype))
    asked = [
        (PICTURES[i % 2], {"length": n, "seed": i, "temperature": i % 2}) for i, n in enumerate((3, 16, 9, 24, 12))
    ]
    alone = [model.ask(picture, "What is this?", early_stop=False, **options).ids for picture, options in asked]
    engine = Engine(model)
    tickets = [engine.submit(picture, "What is this?", early_stop=False, **options) for picture, options in asked]
    assert [ticket.result().ids for ticket in tickets] == alone


@pytest.mark.parametrize("dtype", [None, "bfloat16", "float16"])
def test_a_checkpoint_is_packed_as_it_is_read(tiny_folder: Path, small_pieces: None, dtype: str | None) -> None:
    wanted = getattr(torch, dtype) if dtype else None
    plain, loaded = load_net(tiny_folder, dtype=wanted), lavida.load(tiny_folder, dtype=dtype)
    assert _same(_state(loaded.net), _state(plain))
    assert (loaded.net.denoiser.packed_head is not None) == (dtype != "float16")
    pictured = [Model(net, loaded.tokenizer).ask(PICTURES[0], "Who?").text for net in (plain, loaded.net)]
    assert pictured[0] == pictured[1]


def test_lavida_mini_is_saved_as_it_was_read(tmp_path: Path) -> None:
    net, plain = lavida.load().net, load_net(find_model(None))
    table = net.denoiser.embedding
    assert (
        isinstance(table, StoredTable) and table.table.dtype == torch.bfloat16 and net.denoiser.dtype == torch.float32
    )
    assert _same(_state(net), _state(plain))
    save_checkpoint(net, tmp_path, dtype=torch.bfloat16)
    again, _ = load_checkpoint(tmp_path)
    assert _same({k: t.to(again.denoiser.dtype) for k, t in _state(plain).items()}, _state(again))


def test_a_model_that_memory_cannot_hold_stays_mapped(
    tmp_path: Path, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tiny_model().net, tmp_path)
    for available, packs in ((1e9, True), (1e4, False)):
        monkeypatch.setattr(io, "_available_memory", lambda available=available: available)
        assert (load_checkpoint(tmp_path, pack=True)[0].denoiser.packed_head is not None) == packs


def test_a_quantized_model_is_not_packed(tiny_folder: Path, small_pieces: None) -> None:
    net = lavida.load(tiny_folder, quantize="int8").net
    assert not any(isinstance(layer, (PackedLinear, PackedHead)) for layer in net.modules())


def test_a_packed_model_can_be_quantized(small_pieces: None) -> None:
    net = pack_products(tiny_model().net)
    packed = placement.quantize(net, "int8")
    assert len(packed) == 7 * net.config.denoiser.n_layers and net.denoiser.packed_head is None
    assert not any(isinstance(layer, PackedLinear) for layer in net.modules())


def test_what_is_trained_is_unpacked_first(small_pieces: None) -> None:
    pytest.importorskip("peft")
    net = tiny_model().net
    names = set(dict(net.named_parameters()))
    thaw(pack_products(net), {"denoiser"})
    assert set(dict(net.named_parameters())) == names and net.denoiser.blocks[0].attn.q.weight.requires_grad
    adapted = add_adapters(pack_products(net), Lora(rank=2))
    assert any("lora_A" in name for name, _ in adapted.named_parameters())
