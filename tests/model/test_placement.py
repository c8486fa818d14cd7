from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

from lavida.errors import RequestError
from lavida.model import placement
from lavida.nn.offload import Offloaded
from lavida.nn.quant import Int4Linear, Int8Linear
from tests.fakes import tiny_config, tiny_model


@pytest.mark.parametrize(("choice", "kind"), [("int8", Int8Linear), ("int4+head", Int4Linear)])
def test_blocks_are_packed_and_the_head_if_asked(choice: str, kind: type) -> None:
    model = tiny_model(tiny_config())
    before = {name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    packed = placement.quantize(model, choice)
    assert set(packed.values()) == {kind}
    in_blocks = {name for name in before if name.startswith("denoiser.blocks.")}
    assert len(in_blocks) == 7 * model.config.denoiser.n_layers
    assert set(packed) == in_blocks | ({"denoiser.unembedding"} if choice.endswith("+head") else set())
    assert {name for name, layer in model.named_modules() if isinstance(layer, kind)} == set(packed)
    assert not placement.is_as_trained(model)


@torch.no_grad()
@pytest.mark.parametrize(("choice", "error"), [("int8+head", 0.05), ("int4+head", 0.5)])
def test_logits_stay_near(choice: str, error: float) -> None:
    model = tiny_model(tiny_config(None, qkv_bias=True))
    with torch.no_grad():
        for name, p in model.denoiser.named_parameters():
            if p.dim() > 1 and "embedding" not in name:
                p.div_(8)  # the sharp weights of the tests amplify every error
    ids = torch.arange(12)[None]
    exact = model.denoiser.head(model.denoiser(model.denoiser.embed(ids)))
    placement.quantize(model, choice)
    near = model.denoiser.head(model.denoiser(model.denoiser.embed(ids)))
    assert not torch.equal(near, exact)
    assert (near - exact).norm() < error * exact.norm()


def test_a_wrong_choice_is_told() -> None:
    with pytest.raises(RequestError, match=r"unknown quantize 'int3'; choose one of int8, int4, int8\+head"):
        placement.quantize(tiny_model(tiny_config(None)), "int3")
    with pytest.raises(RequestError, match="head is its embedding.*take 'int4'"):
        placement.quantize(tiny_model(tiny_config(None, tied_head=True)), "int4+head")


@torch.no_grad()
def test_blocks_visit_the_device_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(tiny_config(None, n_layers=3)).to("meta")
    blocks = list(tiny_model(tiny_config(None, n_layers=3)).denoiser.blocks)
    model.denoiser.blocks = torch.nn.ModuleList(blocks)
    placement.offload(model, "meta")
    assert all(isinstance(block, Offloaded) for block in model.denoiser.blocks)
    visits: list[list[weakref.ref[Tensor]]] = []
    visit = Offloaded.copied

    def counted(self: Offloaded) -> dict[str, Tensor]:
        assert not any(tensor() is not None for before in visits for tensor in before), "the last block is still there"
        moved = visit(self)
        visits.append([weakref.ref(tensor) for tensor in moved.values()])
        return moved

    monkeypatch.setattr(Offloaded, "copied", counted)
    hidden = model.denoiser(torch.zeros(1, 4, 32, device="meta"))
    assert hidden.is_meta and len(visits) == 3 and all(len(tensors) == 9 for tensors in visits)
    model.to("meta", torch.bfloat16)  # the blocks take the dtype and stay where they are
    held = [p for block in blocks for p in block.parameters()]
    assert {(p.device.type, p.dtype) for p in held} == {("cpu", torch.bfloat16)}
    assert model.denoiser(torch.zeros(1, 4, 32, device="meta", dtype=torch.bfloat16)).dtype == torch.bfloat16


@torch.no_grad()
def test_an_offloaded_block_computes_the_same() -> None:
    model = tiny_model(tiny_config(None, qkv_bias=True))
    placement.quantize(model, "int8")
    x = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    exact = model.denoiser(x)
    placement.offload(model, "cpu")
    assert not any(isinstance(block, Offloaded) for block in model.denoiser.blocks)  # nothing to do
    model.denoiser.blocks = torch.nn.ModuleList(Offloaded(block, "cpu") for block in model.denoiser.blocks)
    assert torch.equal(model.denoiser(x), exact)
