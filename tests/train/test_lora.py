"""Adapters: nothing at first, trained alone, the same through peft's files, merged or not, on a packed base too."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from lavida.errors import CheckpointError, ConfigError
from lavida.model.placement import quantize
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer

pytest.importorskip("peft")
from lavida.train.lora import Lora, add_adapters, load_adapters, merge_adapters, save_adapters  # noqa: E402


def net():
    return tiny_net(tiny_config(tiny_tokenizer()))


def answer(vlm):
    """Hidden states of a few ids."""
    return vlm.denoiser(vlm.denoiser.embed(torch.arange(9)[None]))


def train(vlm, steps=5):
    trained = [p for p in vlm.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    target = torch.randn(1, 9, 32, generator=torch.Generator().manual_seed(1))
    told = []
    for _ in range(steps):
        loss = (answer(vlm) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(loss.item())
    return told


@pytest.mark.parametrize("packed", (None, "int8", "int4"))
def test_adapters_are_trained_alone_and_come_back_through_their_files(tmp_path, packed):
    vlm = net()
    if packed:
        quantize(vlm, packed)
    before = answer(vlm)
    untouched = {name: t.clone() for name, t in vlm.state_dict().items()}
    adapted = add_adapters(vlm, Lora(rank=4, alpha=8))
    torch.testing.assert_close(answer(vlm), before, rtol=0, atol=0)
    trained = [name for name, p in vlm.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 2 * 7 and all("lora_" in name for name in trained)
    losses = train(vlm)
    assert losses[-1] < losses[0] - 0.01
    for name, tensor in vlm.state_dict().items():
        if "lora_" not in name:
            assert torch.equal(tensor, untouched[name.replace(".base_layer", "")]), name
    after = answer(vlm)
    save_adapters(adapted, tmp_path)
    names = set(load_file(tmp_path / "adapter_model.safetensors"))
    assert "base_model.model.net.denoiser.blocks.1.attn.q.lora_A.weight" in names and len(names) == 28
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 8)
    other = net()
    if packed:
        quantize(other, packed)
    again = load_adapters(other, tmp_path)
    torch.testing.assert_close(answer(other), after, rtol=0, atol=0)
    assert not any(p.requires_grad for p in other.parameters())
    if packed:
        with pytest.raises(CheckpointError, match="cannot be merged into packed weights"):
            merge_adapters(again)
        return
    merged = merge_adapters(again)
    assert merged is other and merged.state_dict().keys() == untouched.keys()
    torch.testing.assert_close(answer(merged), after)


def test_saved_adapters_are_trained_on(tmp_path):
    vlm = net()
    save_adapters(add_adapters(vlm, Lora(layers=("q", "v"))), tmp_path)
    other = net()
    load_adapters(other, tmp_path, trainable=True)
    assert train(other) == train(vlm)


def test_what_does_not_fit_is_told(tmp_path, monkeypatch):
    for wrong, reason in (
        ({"rank": 0}, "lora.rank must be at least 1"),
        ({"dropout": 1.0}, "lora.dropout must be"),
        ({"layers": ("q", "head")}, "some of q, k, v, out, gate, up, down, got head"),
        ({"layers": ()}, "got none"),
    ):
        with pytest.raises(ConfigError, match=reason):
            Lora(**wrong)
    with pytest.raises(CheckpointError, match="has no adapter_config.json and adapter_model.safetensors"):
        load_adapters(net(), tmp_path)
    save_adapters(add_adapters(net(), Lora()), tmp_path)
    config = tiny_config(tiny_tokenizer()).to_json()
    config["denoiser"] |= {"d_model": 16, "n_kv_heads": 4}
    other = tiny_net(type(net().config).from_json(config))
    with pytest.raises(CheckpointError, match="cannot be put in this model"):
        load_adapters(other, tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="cannot be put in this model"):
        load_adapters(net(), tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="install lavida.lora."):
        add_adapters(net(), Lora())
