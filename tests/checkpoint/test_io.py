from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lavida.checkpoint.io import load_checkpoint, save_checkpoint
from lavida.checkpoint.layouts import LLADA
from lavida.errors import CheckpointError, ConfigError
from lavida.model.vlm import VLM
from tests.fakes import LITE0, tiny_config, tiny_model

LLADA_CONFIG = {
    "model_type": "llada",
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "mlp_hidden_size": 48,
    "vocab_size": 44,
    "embedding_size": 48,
    "mask_token_id": 40,
    "eos_token_id": 41,
    "rope_theta": 500000.0,
}


@pytest.fixture
def llada(tmp_path: Path) -> Path:
    """A text-only checkpoint in LLaDA's own layout."""
    model = tiny_model(tiny_config(None))
    save_file({LLADA.from_ours(k): v for k, v in model.state_dict().items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(LLADA_CONFIG))
    return tmp_path


def _same(one: VLM, other: VLM) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(t, theirs[name]) for name, t in ours.items())


@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_model_comes_back(tmp_path: Path, tied: bool) -> None:
    model = tiny_model(tiny_config(tied_head=tied))
    save_checkpoint(model, tmp_path / "deep" / "er")
    loaded, config = load_checkpoint(tmp_path / "deep" / "er")
    assert len({path.stat().st_mode for path in (tmp_path / "deep" / "er").iterdir()}) == 1
    assert config == model.config
    assert not loaded.training
    assert not any(t.is_meta for t in (*loaded.parameters(), *loaded.buffers()))
    _same(model, loaded)


@torch.no_grad()
def test_a_fused_tower_without_head_comes_back_as_such(tmp_path: Path) -> None:
    model = tiny_model(tiny_config(LITE0))
    model.tower.fuse()
    model.tower.head = model.tower.classifier = None
    save_checkpoint(model, tmp_path, dtype=torch.float16)
    loaded, _ = load_checkpoint(tmp_path, dtype=torch.float32)
    views = torch.randn(1, 3, 224, 224)
    assert loaded.tower.classifier is None
    assert torch.allclose(model.tower(views), loaded.tower(views), atol=1e-2)


def test_a_model_can_borrow_the_pretrained_part_of_its_tower(tmp_path: Path) -> None:
    model, lender, whole, slim = tiny_model(tiny_config(LITE0)), tmp_path / "a", tmp_path / "b" / "c", tmp_path / "d"
    model.tower.adapt()
    save_checkpoint(model, lender)
    with torch.no_grad():
        for part in (model.tower.adapted, model.denoiser, model.projector):
            for p in part.parameters():
                p.add_(0.25)
    save_checkpoint(model, slim, borrows=lender)
    names = set(load_file(slim / "model.safetensors"))
    assert not any(name.startswith("tower.") and "adapted" not in name for name in names)
    _same(load_checkpoint(slim)[0], model)
    save_checkpoint(load_checkpoint(slim)[0], whole)  # and is whole again
    assert set(load_file(whole / "model.safetensors")) == set(model.state_dict())
    with torch.no_grad():
        model.tower.stem.conv.weight.add_(1)
    with pytest.raises(CheckpointError, match="tower.stem.conv.weight is not that of .*; save the model whole"):
        save_checkpoint(model, tmp_path / "e", borrows=lender)
    lender.rename(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="borrows its tower from .*, which is missing"):
        load_checkpoint(slim)


def test_official_layout_shards_and_trainer_prefix(llada: Path) -> None:
    model, config = load_checkpoint(llada)
    assert config.family == "llada"
    assert config.denoiser.vocab_size == 48
    state = {f"module.{name}": t for name, t in load_file(llada / "model.safetensors").items()}
    names = sorted(state)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: state[name] for name in held}, llada / file)
    index = {name: file for file, held in shards.items() for name in held}
    (llada / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (llada / "model.safetensors").unlink()
    _same(model, load_checkpoint(llada)[0])


def _edit(folder: Path, **changes: object) -> None:
    state = load_file(folder / "model.safetensors")
    for name, tensor in changes.items():
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    save_file(state, folder / "model.safetensors")


def test_missing_unexpected_and_misshapen_tensors_are_named(llada: Path) -> None:
    head = "model.transformer.ff_out.weight"
    weight = load_file(llada / "model.safetensors")[head]
    _edit(llada, **{head: None})
    with pytest.raises(CheckpointError, match=r"lacks tensors: denoiser\.unembedding\.weight"):
        load_checkpoint(llada)
    _edit(llada, **{head: weight[:, :5].clone()})
    with pytest.raises(CheckpointError, match=r"shape \(48, 5\)"):
        load_checkpoint(llada)
    _edit(llada, **{head: weight, "model.surprise": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"unexpected tensors: model\.surprise"):
        load_checkpoint(llada)


def test_broken_folders_give_one_clear_line(llada: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no readable config\.json"):
        load_checkpoint(tmp_path / "nowhere")
    (llada / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load_checkpoint(llada)
    (llada / "config.json").write_text(json.dumps({**LLADA_CONFIG, "alibi": True}))
    with pytest.raises(CheckpointError, match="alibi"):
        load_checkpoint(llada)
    (llada / "config.json").write_text(json.dumps({k: v for k, v in LLADA_CONFIG.items() if k != "d_model"}))
    with pytest.raises(CheckpointError, match="lacks the field 'd_model'"):
        load_checkpoint(llada)
    (llada / "config.json").write_text(json.dumps({**LLADA_CONFIG, "mask_token_id": 99}))
    with pytest.raises(ConfigError, match="99"):
        load_checkpoint(llada)
    (llada / "config.json").write_text(json.dumps(LLADA_CONFIG))
    (llada / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(CheckpointError, match="cannot read"):
        load_checkpoint(llada)


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        save_checkpoint(tiny_model(tiny_config(None)), tmp_path / "file")
