"""Checkpoints of the image tokenizer and of the family that reads pictures by it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import lavida
from lavida.checkpoint.convert import convert
from lavida.checkpoint.inventory import read_config, survey
from lavida.checkpoint.vq import find_vq, load_vq, read_sizes
from lavida.errors import CheckpointError, RequestError
from lavida.model.vq import ImageTokenizer, VQConfig
from tests.pictures import gradient


@pytest.fixture()
def folder(random_folders: dict[str, Path], tmp_path: Path) -> Path:
    shutil.copytree(random_folders["mmada"], tmp_path / "mmada")
    return tmp_path / "mmada"


def test_the_published_size() -> None:
    with torch.device("meta"):
        model = ImageTokenizer(VQConfig())
    assert sum(p.numel() for p in model.parameters()) == 95_387_004
    assert sum(p.numel() for p in model.encoder.parameters()) == 55_439_171
    names = set(model.state_dict())
    assert len(names) == 380 and VQConfig().codes == 8192 and VQConfig().cell == 16  # and two tables that are computed
    assert {"encoder.down.1.block.0.nin_shortcut.weight", "encoder.down.3.block.0.nin_shortcut.bias"} <= names
    assert {"decoder.up.1.block.0.nin_shortcut.weight", "decoder.up.3.block.0.nin_shortcut.bias"} <= names
    assert "decoder.up.0.upsample.conv.weight" not in names and "encoder.down.4.downsample.conv.weight" not in names


def test_codes_come_back_from_their_signs(folder: Path) -> None:
    """The first channel is the most significant bit, and zero counts as negative."""
    vq = load_vq(folder / "vq")
    latents = torch.tensor([[1.0, -1, -1, -1, -1, -1], [-1, -1, -1, -1, -1, 1], [0, 0, 0, 0, 1, 0]])
    vq.encoder.forward = lambda _: latents.T[None, :, :, None]  # type: ignore[method-assign]
    assert vq.encode(torch.zeros(1, 3, 48, 16)).tolist() == [[32, 1, 2]]


def test_round_trip_through_both_layouts(folder: Path, tmp_path: Path) -> None:
    convert(folder, tmp_path / "ours", "lavida")
    convert(tmp_path / "ours", tmp_path / "theirs", "hf")
    assert read_config(survey(tmp_path / "ours")) == read_config(survey(folder))
    for name in ("config.json", "model.safetensors", "vq/pytorch_model.safetensors", "vq/vq_config.json"):
        assert (tmp_path / "theirs" / name).read_bytes() == (folder / name).read_bytes(), name
    answers = [
        lavida.load(f, side=64).ask(gradient(64, 64), "What?", length=4).ids for f in (folder, tmp_path / "ours")
    ]
    assert answers[0] == answers[1]


def test_ids_of_a_tiny_vocabulary_in_a_file_of_their_own(folder: Path) -> None:
    whole = read_config(survey(folder))
    data = json.loads((folder / "config.json").read_text())
    said = {name: data.pop(name) for name in ("text_tokenizer_length", "special_token_ids")}
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="codebook_size = 64, and the model has rows for 0 codes"):
        read_config(survey(folder))
    (folder / "standins.json").write_text(json.dumps(said))
    assert read_config(survey(folder)) == whole


def test_the_codes_follow_the_tokenizer(folder: Path) -> None:
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(data | {"text_tokenizer_length": 280}))
    with pytest.raises(CheckpointError, match="the tokenizer has 281 ids and the codes of pictures begin at 280"):
        lavida.load(folder)


def test_another_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    sizes = json.loads((folder / "vq" / "vq_config.json").read_text())
    (folder / "vq" / "vq_config.json").write_text(json.dumps(sizes | {"codebook_dim": 7}))
    with pytest.raises(CheckpointError, match="has shape .* and .* is due"):
        load_vq(folder / "vq")
    (folder / "vq" / "vq_config.json").write_text(json.dumps(sizes | {"codebook_dim": "x"}))
    with pytest.raises(CheckpointError, match="does not say the sizes"):
        read_sizes(folder / "vq")
    (folder / "vq" / "vq_config.json").write_text(json.dumps(sizes | {"encoder": {**sizes["encoder"], "ch": 33}}))
    with pytest.raises(CheckpointError, match="channels in multiples of 32"):
        read_sizes(folder / "vq")


def test_tensors_are_accounted_for(folder: Path) -> None:
    path = folder / "vq" / "pytorch_model.safetensors"
    state = load_file(path)
    for change, message in (
        (lambda s: s.pop("encoder.conv_in.bias"), "lacks tensors: encoder.conv_in.bias"),
        (lambda s: s.update(more=torch.zeros(1)), "has unexpected tensors: more"),
        (lambda s: s["encoder.conv_in.bias"].fill_(torch.nan), "encoder.conv_in.bias holds NaN"),
    ):
        changed = {name: t.clone() for name, t in state.items()}
        change(changed)
        save_file(changed, path)
        with pytest.raises(CheckpointError, match=message):
            load_vq(folder / "vq")


def test_pickles_are_refused(folder: Path) -> None:
    (folder / "vq" / "pytorch_model.safetensors").rename(folder / "vq" / "pytorch_model.bin")
    model = lavida.load(folder, side=64)
    with pytest.raises(CheckpointError, match="pickled weights only"):
        model.ask(gradient(64, 64), "What?", length=4)
    assert model.ask(None, "What?", length=4).ids  # words alone need no image tokenizer


def test_where_it_is_looked_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_vq(None, folder) == folder / "vq"
    (folder / "vq").rename(tmp_path / "elsewhere")
    assert find_vq(tmp_path / "elsewhere", folder) == tmp_path / "elsewhere"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="no image tokenizer: showlab/magvitv2"):
        find_vq(None, folder)
    with pytest.raises(CheckpointError, match="no folder"):
        lavida.load(folder, vq="nowhere")
    assert lavida.load(folder, vq=tmp_path / "elsewhere", side=64).ask(gradient(64, 64), "What?", length=4).ids


def test_pictures_one_at_a_time(folder: Path, random_folders: dict[str, Path]) -> None:
    model = lavida.load(folder, side=64)
    with pytest.raises(RequestError, match="one picture at a time, got 2"):
        model.ask([gradient(64, 64)] * 2, "What?")
    with pytest.raises(RequestError, match="no use for an image tokenizer"):
        lavida.load(random_folders["llada"], side=64)
    for side in (70, 0, -16):
        with pytest.raises(RequestError, match="is a multiple of 16 pixels"):
            lavida.load(folder, side=side)
    with pytest.raises(RequestError, match="takes 65536 of the 4096 tokens"):
        lavida.load(folder, side=4096)


def test_a_picture_is_encoded_once(folder: Path) -> None:
    model = lavida.load(folder, side=64)
    first, again = (model.read(gradient(64, 64), question).images[0] for question in ("What?", "Why?"))
    assert not first.held and again.held and first.tokens is again.tokens
    codes = model.net.config.codes
    table = model.net.denoiser.embed(torch.tensor([codes.read_id, codes.begin_id, codes.end_id]))
    assert torch.equal(first.tokens[[0, 1, -1]], table) and len(first.tokens) == 16 + 3
