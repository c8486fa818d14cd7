from __future__ import annotations

import pytest
import torch

from lavida.checkpoint.layouts import LLADA, LLAMA, OURS, Layout, recognise
from lavida.config import DenoiserConfig, VLMConfig
from lavida.errors import CheckpointError
from lavida.model.vlm import VLM
from tests.fakes import tiny_config, tiny_model


@pytest.mark.parametrize("layout", [OURS, LLADA, LLAMA])
@pytest.mark.parametrize("bias", [False, True])
def test_names_come_back(layout: Layout, bias: bool) -> None:
    names = list(tiny_model(tiny_config(qkv_bias=bias)).state_dict())
    theirs = [layout.from_ours(name) for name in names]
    assert len(set(theirs)) == len(names)
    assert [layout.to_ours(name) for name in theirs] == names
    assert [layout.to_ours(f"module.{name}") for name in theirs] == names or layout is OURS
    assert recognise(theirs) is layout


def test_llada_8b_has_its_291_tensors() -> None:
    config = DenoiserConfig(
        vocab_size=126464,
        d_model=4096,
        n_layers=32,
        n_heads=32,
        n_kv_heads=32,
        mlp_size=12288,
        mask_id=126336,
        eos_ids=(126081,),
    )
    with torch.device("meta"):
        state = VLM(VLMConfig(denoiser=config)).state_dict()
    assert len(state) == 291
    assert sum(t.numel() for t in state.values()) == 8_015_581_184
    assert None not in [LLADA.from_ours(name) for name in state]
    assert LLADA.from_ours("denoiser.blocks.31.mlp.down.weight") == "model.transformer.blocks.31.ff_out.weight"


def test_what_follows_the_layer_that_is_read_may_be_left_out() -> None:
    prefix = "model.vision_tower.vision_tower.vision_model."
    assert LLADA.is_unused(prefix + "post_layernorm.weight")
    assert not LLADA.is_unused(prefix + "encoder.layers.0.layer_norm1.weight")
    assert LLADA.to_ours("model.layers.0.mlp.gate_proj.weight") is None


def test_foreign_names_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"transformer\.h\.0\.ln_1"):
        recognise(["transformer.h.0.ln_1.weight"])
