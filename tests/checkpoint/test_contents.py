"""What a folder holds: published variants, and everything that must be refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lavida.checkpoint.convert import convert
from lavida.checkpoint.inventory import match, meta_model, read_config, survey
from lavida.checkpoint.io import load_checkpoint
from lavida.errors import CheckpointError, ConfigError
from lavida.image.tiles import Grid
from tests.fakes import image_tokens

Folders = dict[str, Path]  # of the tiny checkpoint of each family

TOWER = "model.vision_tower.vision_tower."


@pytest.fixture
def copy(random_folders: Folders, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a family's tiny checkpoint that may be spoilt."""

    def copied(family: str) -> Path:
        return Path(shutil.copytree(random_folders[family], tmp_path / family))

    return copied


def edit(folder: Path, **fields: object) -> None:
    """Change fields of config.json; None takes one out."""
    data = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def save(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "model.safetensors")


def stage_1(folder: Path, home: str) -> Path:
    """Cut a whole LaViDa into a base model, the pickled projector, and a whole SigLIP in a folder of its own."""
    tensors = weights(folder)
    projector = {k: t for k, t in tensors.items() if "mm_projector" in k}
    tower = {k.removeprefix(TOWER): t for k, t in tensors.items() if k.startswith(TOWER)}
    torch.save({f"base_{k}": t for k, t in projector.items()}, folder / "mm_projector.bin")
    save(folder, {k: t for k, t in tensors.items() if not k.startswith(("model.vision", "model.mm", "model.image"))})
    (folder / home).mkdir()
    vision = json.loads((folder / "vision_config.json").read_text())
    (folder / "vision_config.json").unlink()
    (folder / home / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": vision}))
    save(folder / home, tower | {"text_model.head.weight": torch.zeros(3), "logit_scale": torch.zeros(1)})
    return folder


@torch.no_grad()
def test_stage_1(copy: Callable[[str], Path], random_folders: Folders, tmp_path: Path) -> None:
    folder = stage_1(copy("lavida-lowres"), "siglip")
    edit(folder, mm_vision_tower="siglip")
    model, config = load_checkpoint(folder)
    whole, same = load_checkpoint(random_folders["lavida-lowres"])
    assert config == same and config.family == "lavida-llada" and not config.tiles.pool
    views, grid = torch.randn(1, 3, 384, 384), Grid(columns=0, rows=0, width=5, height=4)
    tokens = image_tokens(model, views, grid)
    assert tokens.shape == (729, 64)  # neither pooled nor ended by a newline
    assert torch.equal(tokens, image_tokens(whole, views, grid))
    convert(folder, tmp_path / "one", "hf")  # one folder with everything in it
    shutil.rmtree(folder)
    assert torch.equal(image_tokens(load_checkpoint(tmp_path / "one")[0], views, grid), tokens)


def test_stage_1_of_a_plain_base_model(copy: Callable[[str], Path], random_folders: Folders) -> None:
    folder = stage_1(copy("lavida-lowres"), "siglip")
    base = json.loads((random_folders["llada"] / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(base))
    with pytest.raises(CheckpointError, match="a projector and no vision tower; name the tower's folder or hub id"):
        survey(folder)
    edit(folder, mm_vision_tower="siglip")
    config = read_config(survey(folder))
    assert (config.family, config.tiles.pinpoints, config.tiles.unpad) == ("lavida-llada", (), False)
    edit(folder, mm_vision_tower="nowhere")
    with pytest.raises(CheckpointError, match="holds no vision tower and names nowhere: no folder nowhere"):
        survey(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"stage 1\) without its base model"):
        survey(folder)


@pytest.mark.parametrize("rows", [300, 352])
def test_resized_embeddings(rows: int, copy: Callable[[str], Path]) -> None:
    for family, names in (
        ("llada", ("model.transformer.wte.weight", "model.transformer.ff_out.weight")),
        ("dream", ("model.embed_tokens.weight", "lm_head.weight")),
    ):
        folder = copy(family)
        tensors = weights(folder)
        resized = {n: torch.cat((tensors[n], tensors[n]))[:rows].clone() for n in names}
        save(folder, tensors | resized)
        model, config = load_checkpoint(folder)
        assert config.denoiser.vocab_size == rows == model.denoiser.unembedding.out_features
        save(folder, tensors | {names[0]: resized[names[0]]})  # the head was forgotten
        with pytest.raises(CheckpointError, match=rf"has shape \(320, 64\) and .* asks for \({rows}, 64\)"):
            load_checkpoint(folder)
        save(folder, tensors | {n: tensors[n][:200].clone() for n in names})
        with pytest.raises(ConfigError, match="lies outside the vocabulary of 200"):
            load_checkpoint(folder)
        shutil.rmtree(folder)


def test_a_tower_with_its_last_layer_and_tables_of_angles(copy: Callable[[str], Path]) -> None:
    folder = copy("llada-v")
    tensors = weights(folder)
    layer = f"{TOWER}vision_model.encoder.layers."
    last = {k.replace(f"{layer}1.", f"{layer}2."): t.clone() for k, t in tensors.items() if k.startswith(f"{layer}1.")}
    angles = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    save(folder, {f"module.{k}": t for k, t in (tensors | last | angles).items()})
    contents = survey(folder)
    config = read_config(contents)
    found = match(contents, meta_model(config, contents.tensors))
    found.require(contents)
    assert config.vision.n_layers == 2 and len(found.idle) == len(last)
    assert [s.name for s in found.unused if "rotary" in s.name] == [f"module.{next(iter(angles))}"]
    save(folder, tensors | {f"{layer}1.self_attn.surprise": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"unexpected tensors: .*layers\.1\.self_attn\.surprise"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("family", "fields", "words"),
    [
        (
            "llada",
            {"model_type": "gpt9"},
            "unknown model_type 'gpt9', not one of dream, llada, .*never run",
        ),
        ("llada", {"model_type": "Dream"}, "says Dream and the tensors have the names of llada"),
        ("dream", {"model_type": "qwen2", "auto_map": None}, "unknown model_type 'qwen2'.*llava_llada, mmada$"),
        ("dream", {"model_type": None}, "fit Dream and LLaDA-V alike; write one of dream, llada"),
        ("llada", {"mm_vision_tower": "google/siglip"}, "names a vision tower and no file holds the projector"),
        ("llada", {"n_layers": "two"}, "field of the wrong kind"),
        ("dream", {"use_sliding_window": True}, "use_sliding_window = True, and only False is supported"),
        ("lavida-llada", {"mm_projector_type": "linear"}, "only 'mlp2x_gelu' is supported"),
        ("lavida-llada", {"mm_spatial_pool_mode": "average"}, "only 'bilinear' is supported"),
        ("lavida-llada", {"image_aspect_ratio": "highres"}, "image_aspect_ratio = 'highres'"),
        ("lavida-llada", {"mm_patch_merge_type": "flat"}, "only spatial_unpad is supported"),
        ("lavida-llada", {"image_grid_pinpoints": "soon"}, "image_grid_pinpoints = 'soon'"),
    ],
)
def test_what_config_may_not_say(
    family: str, fields: dict[str, object], words: str, copy: Callable[[str], Path]
) -> None:
    folder = copy(family)
    edit(folder, **fields)
    with pytest.raises(CheckpointError, match=words) as raised:
        read_config(survey(folder))
    assert "\n" not in str(raised.value)


def test_a_lost_embedding_is_missing(copy: Callable[[str], Path]) -> None:
    for family, name in (("llada", "model.transformer.wte.weight"), ("dream", "model.embed_tokens.weight")):
        folder = copy(family)
        save(folder, {k: t for k, t in weights(folder).items() if k != name})
        with pytest.raises(CheckpointError, match=r"lacks tensors: denoiser\.embedding\.weight"):
            load_checkpoint(folder)


def test_llada_needs_no_model_type(copy: Callable[[str], Path]) -> None:
    folder = copy("llada")
    edit(folder, model_type=None, mask_token_id=None, mask_standin_id=260)
    assert read_config(survey(folder)).family == "llada"
    assert read_config(survey(folder)).denoiser.mask_id == 260


def test_two_answers_are_none(copy: Callable[[str], Path]) -> None:
    folder = copy("lavida-llada")
    tensors = weights(folder)
    name = "model.image_newline"
    save(folder, tensors | {f"module.{name}": tensors[name].clone()})
    with pytest.raises(CheckpointError, match=r"holds module\.model\.image_newline twice"):
        survey(folder)
    save(folder, tensors)
    torch.save({"mm_projector.0.bias": torch.zeros(64)}, folder / "mm_projector.bin")
    with pytest.raises(CheckpointError, match=r"mm_projector\.0\.bias twice .* in mm_projector\.bin"):
        survey(folder)
    (folder / "mm_projector.bin").unlink()
    shutil.copy(folder / "model.safetensors", folder / "a.safetensors")
    index = {"weight_map": dict.fromkeys(tensors, "a.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"holds both model\.safetensors and shards"):
        survey(folder)
    (folder / "model.safetensors").rename(folder / "b.safetensors")
    index["weight_map"][name] = "b.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"in a\.safetensors and in b\.safetensors"):
        survey(folder)
    for broken in ({}, [], {"x": "../../etc/x.safetensors"}, {"x": 3}):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": broken}))
        with pytest.raises(CheckpointError, match="lists no shards"):
            survey(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(CheckpointError, match="holds shards, and no model"):
        survey(folder)


def test_config_of_another_layout_is_refused(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("dream")
    convert(folder, tmp_path / "ours", "lavida")
    (folder / "config.json").replace(tmp_path / "ours" / "config.json")
    with pytest.raises(CheckpointError, match="tensors of lavida and config.json of 'Dream'"):
        read_config(survey(tmp_path / "ours"))
