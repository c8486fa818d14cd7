"""How much memory a checkpoint takes while it is loaded and used, and what becomes of its tensors."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lavida.checkpoint import read
from lavida.checkpoint.io import load_checkpoint, save_checkpoint
from lavida.config import DenoiserConfig, VLMConfig
from lavida.errors import CheckpointError, RequestError
from lavida.model.vlm import VLM
from lavida.nn.offload import Offloaded
from lavida.nn.quant import Int8Linear
from tests.fakes import tiny_config, tiny_model

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    save_checkpoint(tiny_model(tiny_config(qkv_bias=True)), tmp_path, dtype=torch.bfloat16)
    return tmp_path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 100 MB in bfloat16, nearly all of it in the blocks."""
    folder = tmp_path_factory.mktemp("large")
    denoiser = DenoiserConfig(
        vocab_size=1000, d_model=1024, n_layers=4, n_heads=8, n_kv_heads=8, mlp_size=2816, mask_id=1, eos_ids=(2,)
    )
    config = VLMConfig(denoiser=denoiser)
    with torch.device("meta"):
        names = VLM(config).state_dict()
    state = {name: torch.full(t.shape, 0.01, dtype=torch.bfloat16) for name, t in names.items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    return folder


def _memory(field: str) -> int:
    return 1024 * int(re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)[1])


def _peak(work: Callable[[], Any]) -> int:
    """Bytes of resident memory that `work` needed at its worst, above those in use before."""
    CLEAR.write_text("5")  # the highest value starts anew
    before = _memory("VmRSS")
    result = work()
    peak = _memory("VmHWM") - before
    del result
    return peak


@torch.no_grad()
def _use(folder: Path, **options: Any) -> VLM:
    model, _ = load_checkpoint(folder, **options)
    model.denoiser.head(model.denoiser(model.denoiser.embed(torch.arange(32)[None])))
    return model


@pytest.mark.skipif(not os.access(CLEAR, os.W_OK), reason="only Linux tells a process its peak")
def test_peak_of_memory(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (large / "model.safetensors").stat().st_size
    monkeypatch.setattr(read, "BATCH", size // 50)
    _use(large), _use(large, quantize="int8")  # libraries' own memory is taken once
    assert _peak(lambda: load_checkpoint(large)) < 0.1 * size  # mapped, not read
    assert 0.9 * size < _peak(lambda: _use(large)) < 1.15 * size
    assert _peak(lambda: _use(large, quantize="int8")) < 0.65 * size
    assert _peak(lambda: _use(large, quantize="int4")) < 0.4 * size
    assert _peak(lambda: load_checkpoint(large, dtype=torch.float32)) < 2.15 * size


def test_tensors_arrive_as_asked(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "BATCH", 5000)  # several mappings even for a tiny model
    stored = load_checkpoint(tiny)[0].state_dict()
    assert {t.dtype for t in stored.values()} == {torch.bfloat16}
    wide = load_checkpoint(tiny, dtype=torch.float32)[0].state_dict()
    assert all(torch.equal(wide[name], t.float()) for name, t in stored.items()) and set(wide) == set(stored)
    packed = load_checkpoint(tiny, dtype=torch.float32, quantize="int8")[0]
    q = packed.denoiser.blocks[1].attn.q
    assert isinstance(q, Int8Linear) and q.scale.dtype == torch.float32 and torch.equal(q.bias, wide[_Q + "bias"])
    assert torch.equal(q.weight, Int8Linear(wide[_Q + "weight"]).weight)
    assert isinstance(packed.denoiser.unembedding, torch.nn.Linear)
    assert not any(t.is_meta for t in packed.state_dict().values())


_Q = "denoiser.blocks.1.attn.q."


def test_offloaded_blocks_wait_on_the_cpu(tiny: Path) -> None:
    model, _ = load_checkpoint(tiny, device="meta", quantize="int8", offload=True)
    assert all(isinstance(block, Offloaded) for block in model.denoiser.blocks)
    assert all(t.device.type == "cpu" for block in model.denoiser.blocks for t in block.block.state_dict().values())
    assert all(t.is_meta for t in model.state_dict().values()) and len(model.state_dict()) > 10
    same, _ = load_checkpoint(tiny, offload=True)
    assert not any(isinstance(block, Offloaded) for block in same.denoiser.blocks)


def test_what_cannot_be_had_is_told_before_anything_is_read(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(RequestError, match="cannot use device 'nonsense'"):
        load_checkpoint(tmp_path / "nowhere", device="nonsense")
    with pytest.raises(RequestError, match="unknown quantize 'fp2'"):
        load_checkpoint(tmp_path / "nowhere", quantize="fp2")
    model, _ = load_checkpoint(tiny, quantize="int4")
    with pytest.raises(CheckpointError, match="is not saved"):
        save_checkpoint(model, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_writing_into_a_mapped_weight_leaves_the_file_alone(tiny: Path) -> None:
    before = (tiny / "model.safetensors").read_bytes()
    model, _ = load_checkpoint(tiny)
    with torch.no_grad():
        model.denoiser.embedding.weight.fill_(7)
    assert (tiny / "model.safetensors").read_bytes() == before
