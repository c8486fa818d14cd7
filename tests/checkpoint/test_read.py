"""How much memory a checkpoint takes while it is loaded and used, and what becomes of its tensors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lavida.checkpoint import io
from lavida.checkpoint.io import load_checkpoint, save_checkpoint
from lavida.config import DenoiserConfig, VLMConfig
from lavida.errors import CheckpointError, RequestError
from lavida.model.vlm import VLM
from lavida.nn.offload import Offloaded
from lavida.nn.quant import Int8Linear
from tests.fakes import tiny_config, tiny_model


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    save_checkpoint(tiny_model(tiny_config(qkv_bias=True)), tmp_path, dtype=torch.bfloat16)
    return tmp_path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 260 MB in bfloat16, nearly all of it in a few large matrices of the blocks."""
    folder = tmp_path_factory.mktemp("large")
    denoiser = DenoiserConfig(
        vocab_size=1000, d_model=2048, n_layers=3, n_heads=16, n_kv_heads=16, mlp_size=4096, mask_id=1, eos_ids=(2,)
    )
    config = VLMConfig(denoiser=denoiser)
    with torch.device("meta"):
        names = VLM(config).state_dict()
    state = {name: torch.full(t.shape, 0.01, dtype=torch.bfloat16) for name, t in names.items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    return folder


MEASURE = r"""
import json, re, sys
from pathlib import Path
import torch
from lavida.checkpoint import io
from lavida.checkpoint.io import load_checkpoint

def memory(field):
    return 1024 * int(re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)[1])

folder, options = sys.argv[1], json.loads(sys.argv[2])
options["dtype"] = getattr(torch, options.pop("dtype"), None)
torch.set_num_threads(1)
io.BATCH = 2**22  # as little of the model as the real one is of 8 billion parameters
with torch.inference_mode():
    weight = torch.ones(1024, 1024, dtype=torch.bfloat16)
    torch.nn.functional.linear(weight[:32], weight)  # what the library takes for itself, once
    del weight
    Path("/proc/self/clear_refs").write_text("5")  # the highest value starts anew
    before = memory("VmRSS")
    model, _ = load_checkpoint(folder, **options)
    loaded = memory("VmHWM") - before
    model.denoiser.head(model.denoiser(model.denoiser.embed(torch.arange(32)[None])))
print(json.dumps([loaded, memory("VmHWM") - before]))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux tells a process its peak")
@pytest.mark.parametrize(
    ("dtype", "quantize", "loading", "using"),  # at most, in sizes of the file
    [
        ("stored", None, 0.1, 1.15),  # mapped, not read
        ("stored", "int8", 0.75, 0.75),  # .59 to .70 by how the system hands out pages
        pytest.param("stored", "int4", 0.42, 0.42, marks=pytest.mark.slow),
        pytest.param("float32", None, 2.15, 2.15, marks=pytest.mark.slow),
    ],
)
def test_peak_of_memory(large: Path, dtype: str, quantize: str | None, loading: float, using: float) -> None:
    size = (large / "model.safetensors").stat().st_size
    options = json.dumps({"dtype": dtype, "quantize": quantize})
    # A process of its own: a heap that was in use before hides some of what is taken, or adds to it.
    run = subprocess.run([sys.executable, "-c", MEASURE, str(large), options], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    loaded, used = json.loads(run.stdout)
    print(f"{loaded / size:.3f} of the file to load, {used / size:.3f} to use")
    assert loaded < loading * size
    assert 0.25 * size < used < using * size


def test_tensors_arrive_as_asked(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "BATCH", 5000)  # several mappings even for a tiny model
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
