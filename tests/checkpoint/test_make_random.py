"""Random checkpoints: every family is written as published, recognised, and converted there and back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer

from lavida.checkpoint import make_random as recipes
from lavida.checkpoint.convert import convert
from lavida.checkpoint.families import FORMS
from lavida.checkpoint.files import INDEX, WEIGHTS
from lavida.checkpoint.inventory import meta_model, read_config, survey
from lavida.checkpoint.io import load_checkpoint
from lavida.checkpoint.make_random import DREAM, LLADA, RECIPES, make_random, random_config, write_placeholder_tokenizer
from lavida.checkpoint.official import read_official, write_official
from lavida.errors import CheckpointError, RequestError

Folders = dict[str, Path]  # of the tiny checkpoint of each family


def held(folder: Path) -> dict[str, bytes]:
    """Dtype, shape and bytes of every tensor in a folder."""
    tensors = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                t = file.get_tensor(name)
                tensors[name] = f"{t.dtype}{list(t.shape)}".encode() + t.reshape(-1).view(torch.uint8).numpy().tobytes()
    return tensors


@pytest.mark.parametrize("family", RECIPES)
def test_every_family_is_recognised_and_loads(family: str, random_folders: Folders) -> None:
    model, config = load_checkpoint(random_folders[family])
    assert config == random_config(family, "tiny")
    assert config.family == RECIPES[family].family
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    tokenizer = Tokenizer.from_file(str(random_folders[family] / "tokenizer.json"))
    vocabulary = RECIPES[family].tokens
    assert tokenizer.token_to_id(vocabulary.roles["mask"]) == config.denoiser.mask_id
    ends = [tokenizer.token_to_id(token) for token in (vocabulary.roles["eos"], vocabulary.turn)]
    assert config.denoiser.eos_ids == tuple(ends)
    assert tokenizer.get_vocab_size() < config.denoiser.vocab_size  # rows to spare, as published
    text = "Größe? 漢字\n"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("family", RECIPES)
def test_there_and_back_keeps_every_byte(family: str, random_folders: Folders, tmp_path: Path) -> None:
    source = random_folders[family]
    convert(source, tmp_path / "ours", "lavida")
    convert(tmp_path / "ours", tmp_path / "back", "hf")
    assert held(tmp_path / "back") == held(source)
    for name in ("config.json", "vision_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (source / name).exists() == (tmp_path / "back" / name).exists()
        if (source / name).exists():
            assert json.loads((source / name).read_text()) == json.loads((tmp_path / "back" / name).read_text())
    ours, config = load_checkpoint(tmp_path / "ours")
    theirs, same = load_checkpoint(source)
    assert config == same
    assert all(torch.equal(t, ours.state_dict()[name]) for name, t in theirs.state_dict().items())


def test_without_the_published_config_an_equal_one_is_written(random_folders: Folders, tmp_path: Path) -> None:
    for family in FORMS:
        ours, back = tmp_path / f"{family}-ours", tmp_path / f"{family}-back"
        convert(random_folders[family], ours, "lavida")
        (ours / "official_config.json").unlink()
        (ours / "vision_config.json").unlink(missing_ok=True)
        convert(ours, back, "hf")
        assert read_config(survey(back)) == random_config(family, "tiny")


def test_a_picture_padded_to_a_square_comes_back(random_folders: Folders, tmp_path: Path) -> None:
    shutil.copytree(random_folders["lavida-lowres"], tmp_path / "padded")
    data = json.loads((tmp_path / "padded" / "config.json").read_text())
    assert data["image_aspect_ratio"] == "square"
    (tmp_path / "padded" / "config.json").write_text(json.dumps(data | {"image_aspect_ratio": "pad"}))
    config, plain = (read_config(survey(folder)) for folder in (tmp_path / "padded", random_folders["lavida-lowres"]))
    assert config == replace(plain, tiles=replace(plain.tiles, square=True)) and not plain.tiles.square
    assert write_official(config)[0]["image_aspect_ratio"] == "pad"


def test_shards_keep_their_tensors(random_folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "SHARD", 100_000)
    make_random("lavida-llada", "tiny", tmp_path / "sharded")
    assert not (tmp_path / "sharded" / WEIGHTS).exists()
    index = json.loads((tmp_path / "sharded" / INDEX).read_text())
    assert len(set(index["weight_map"].values())) > 3
    assert held(tmp_path / "sharded") == held(random_folders["lavida-llada"])  # the same seed gives the same numbers
    convert(tmp_path / "sharded", tmp_path / "ours", "lavida")
    convert(tmp_path / "ours", tmp_path / "back", "hf")
    assert json.loads((tmp_path / "back" / INDEX).read_text()) == index
    assert held(tmp_path / "back") == held(tmp_path / "sharded")


def test_weights_can_be_read_by_whom_the_configuration_can(random_folders: Folders) -> None:
    folder = random_folders["llada"]
    assert (folder / WEIGHTS).stat().st_mode == (folder / "config.json").stat().st_mode


def test_another_seed_gives_other_numbers(random_folders: Folders, tmp_path: Path) -> None:
    make_random("llada", "tiny", tmp_path / "other", seed=1)
    assert held(tmp_path / "other") != held(random_folders["llada"])


@pytest.mark.parametrize("family", RECIPES)
def test_the_published_size(family: str) -> None:
    config = random_config(family, "8b")
    data, tower = write_official(config)
    assert tower is None  # so400m is known by its name
    shapes = {name: tuple(t.shape) for name, t in meta_model(config, ()).state_dict().items() if "encoder" not in name}
    layout = FORMS[config.family].layout
    assert read_official(data, None, layout, shapes) == config
    count = sum(torch.Size(s).numel() for n, s in shapes.items() if n.startswith("denoiser."))
    longer = 2 * 8192 * 4096 if config.codes else 0  # embedding and head of MMaDA's image codes
    assert count == (7_615_616_512 if "dream" in family else 8_015_581_184 + longer)
    assert ("mm_vision_tower" in data) == (config.vision is not None)


def test_special_tokens_have_the_official_ids(tmp_path: Path) -> None:
    write_placeholder_tokenizer(tmp_path, LLADA, official=True, max_length=4096)
    llada = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert llada.get_vocab_size() == 126349
    facts = {
        "<|startoftext|>": 126080,
        "<|endoftext|>": 126081,
        "<|reserved_token_1|>": 126085,
        "<|reserved_token_2|>": 126086,
        "<|mdm_mask|>": 126336,
        "<|start_header_id|>": 126346,
        "<|end_header_id|>": 126347,
        "<|eot_id|>": 126348,
    }
    assert {token: llada.token_to_id(token) for token in facts} == facts
    assert llada.encode("!\n<|eot_id|>").ids == [0, 198, 126348]
    assert llada.decode([126080, 0, 126348]) == "!"
    write_placeholder_tokenizer(tmp_path, DREAM, official=True, max_length=2048)
    dream = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokens = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>")
    assert [dream.token_to_id(t) for t in tokens] == [151643, 151644, 151645, 151665, 151666]
    assert dream.get_vocab_size() == 151667


def test_nothing_half_written_stays(random_folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="exists; name a folder that does not"):
        make_random("llada", "tiny", random_folders["llada"])
    with pytest.raises(CheckpointError, match="exists"):
        convert(random_folders["llada"], random_folders["dream"], "lavida")
    with monkeypatch.context() as patch:
        patch.setattr(recipes, "write_shard", full)
        with pytest.raises(CheckpointError, match="No space left on device"):
            make_random("llada", "tiny", tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize("family", ["lavida-llada", "lavida-dream", "llada"])
def test_half_a_billion_weights_have_the_published_vocabulary_and_tower(family: str) -> None:
    config, published = random_config(family, "half"), random_config(family, "8b")
    with torch.device("meta"):
        count = sum(p.numel() for p in meta_model(config, ()).denoiser.blocks.parameters())
    assert 3.5e8 < count < 4.5e8 and config.vision == published.vision
    assert config.denoiser.vocab_size == published.denoiser.vocab_size
    assert config.denoiser.mask_id == published.denoiser.mask_id


def test_sharp_attention_is_that_of_larger_queries_and_keys(
    random_folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "_SHARP", {"tiny": 2.0})
    make_random("lavida-llada", "tiny", tmp_path / "sharp")
    sharp, plain = (load_checkpoint(folder)[0] for folder in (tmp_path / "sharp", random_folders["lavida-llada"]))
    for (name, ours), theirs in zip(sharp.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs * (2 if name.endswith(("attn.q.weight", "attn.k.weight")) else 1)), name


def test_what_cannot_be_written_is_refused(random_folders: Folders, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="unknown family 'gpt'; choose one of lavida-llada"):
        make_random("gpt", "tiny", tmp_path / "out")
    with pytest.raises(RequestError, match="unknown scale '9b'"):
        make_random("llada", "9b", tmp_path / "out")
    with pytest.raises(RequestError, match="unknown layout 'gguf'"):
        convert(random_folders["llada"], tmp_path / "out", "gguf")
    with pytest.raises(CheckpointError, match="lavida-mini has no published layout"):
        convert(tiny_folder, tmp_path / "out", "hf")
    assert list(tmp_path.iterdir()) == []
