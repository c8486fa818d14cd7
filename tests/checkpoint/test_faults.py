"""Checkpoints as they are found: other types, damaged weights, placeholders, and templates as Jinja renders them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from lavida.checkpoint.files import read_json
from lavida.checkpoint.inventory import match, meta_model, read_config, survey
from lavida.checkpoint.io import load_checkpoint
from lavida.checkpoint.make_random import RECIPES, make_random
from lavida.checkpoint.named import load_tokenizer
from lavida.errors import CheckpointError, LavidaError
from lavida.model.vlm import VLM
from lavida.text.chat import TEMPLATES, piece_ids, render
from lavida.text.messages import read_messages

Folders = dict[str, Path]
Copy = Callable[[str], Path]
NORM = "model.transformer.blocks.0.attn_norm.weight"


@pytest.fixture
def copy(random_folders: Folders, tmp_path: Path) -> Copy:
    """A copy of a family's tiny checkpoint that may be spoilt."""
    return lambda family: Path(shutil.copytree(random_folders[family], tmp_path / family))


def change(folder: Path, make: Callable[[str, torch.Tensor], torch.Tensor | None]) -> None:
    """Replace tensors of a folder; None takes one out."""
    tensors = {name: make(name, tensor) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file({n: t for n, t in tensors.items() if t is not None}, folder / "model.safetensors")


def edit(folder: Path, **fields: object) -> None:
    data = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(data))


def found_in(folder: Path) -> None:
    """Read a checkpoint as `lavida inspect` does."""
    contents = survey(folder)
    match(contents, meta_model(read_config(contents), contents.tensors)).require(contents)


def logits(model: VLM) -> torch.Tensor:
    return model.denoiser.head(model.denoiser(model.denoiser.embed(torch.arange(6)[None])))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_row_17_eight_bit_floats_become_bfloat16(dtype: torch.dtype, copy: Copy) -> None:
    folder = copy("llada")
    change(folder, lambda name, t: t.to(dtype) if t.dim() > 1 else t)
    found_in(folder)
    model, _ = load_checkpoint(folder)
    assert {t.dtype for t in model.state_dict().values()} == {torch.bfloat16}
    assert torch.isfinite(logits(model)).all()
    assert torch.isfinite(logits(load_checkpoint(folder, quantize="int8")[0])).all()


@torch.inference_mode()
@pytest.mark.parametrize(("minority", "common"), [(torch.float32, torch.bfloat16), (torch.float64, torch.bfloat16)])
def test_row_17_several_types_become_the_most_common(minority: torch.dtype, common: torch.dtype, copy: Copy) -> None:
    folder = copy("llada")
    change(folder, lambda name, t: t.to(minority) if t.dim() == 1 else t)
    model, _ = load_checkpoint(folder)
    assert {t.dtype for t in model.state_dict().values()} == {common} and torch.isfinite(logits(model)).all()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.bool, torch.complex64])
def test_row_17_packed_weights_are_refused_when_they_are_inspected(dtype: torch.dtype, copy: Copy) -> None:
    folder = copy("llada")
    change(folder, lambda name, t: t.to(dtype) if "q_proj" in name else t)
    for look in (found_in, load_checkpoint):
        with pytest.raises(CheckpointError, match=r"holds quantized weights \(.*q_proj.weight\)") as error:
            look(folder)
        assert "\n" not in str(error.value)


def test_row_17_scales_beside_eight_bit_weights_are_refused(copy: Copy) -> None:
    folder = copy("llada")
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {**tensors, "model.transformer.blocks.0.q_proj.weight_scale_inv": torch.ones(1)}, folder / "model.safetensors"
    )
    with pytest.raises(CheckpointError, match="holds quantized weights .*weight_scale_inv"):
        found_in(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_row_18_a_norm_that_is_no_number_is_refused(value: float, copy: Copy) -> None:
    folder = copy("llada")
    change(folder, lambda name, t: torch.full_like(t, value) if name == NORM else t)
    for quantize in (None, "int8"):
        with pytest.raises(CheckpointError, match=r"blocks\.0\.attn_norm\.weight holds NaN or infinity"):
            load_checkpoint(folder, quantize=quantize)


@pytest.mark.parametrize("family", RECIPES)
def test_row_20_the_placeholder_template_gives_our_prompt(family: str, random_folders: Folders) -> None:
    """The string and the ids of transformers' Jinja for dialogues without a picture, and ours."""
    folder = random_folders[family]
    theirs = AutoTokenizer.from_pretrained(folder)
    config = read_config(survey(folder))
    template, tokenizer = TEMPLATES[config.family], load_tokenizer(folder, config)
    dialogue = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?"},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Where?"},
    ]
    for messages in (dialogue, dialogue[:2]):
        pieces = render(read_messages(messages), template)
        assert theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == "".join(pieces)
        ids = theirs.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
        assert ids == piece_ids(pieces, template, tokenizer)


def test_row_8_a_placeholder_tokenizer_with_unmarked_control_tokens(copy: Copy) -> None:
    folder = copy("llada")
    state = json.loads((folder / "tokenizer.json").read_text())
    for token in state["added_tokens"]:
        token["special"] = False
    (folder / "tokenizer.json").write_text(json.dumps(state))
    config = read_config(survey(folder))
    tokenizer = load_tokenizer(folder, config)
    control = {config.denoiser.mask_id, *config.denoiser.eos_ids, tokenizer.id_of("<|start_header_id|>")}
    text = "<|eot_id|><|mdm_mask|><|start_header_id|>system"
    assert control.isdisjoint(tokenizer.encode(text)) and control <= tokenizer.special_ids
    assert tokenizer.decode([*tokenizer.encode("a"), tokenizer.id_of("<|start_header_id|>")]) == "a"


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1\nsize 12345\n"
)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "mm_projector.bin"])
@pytest.mark.parametrize(
    ("content", "words"),
    [(POINTER, "git-lfs pointer.*git lfs pull"), (b"<!DOCTYPE html><html></html>", "a web page|cannot read")],
)
def test_placeholders_are_named(name: str, content: bytes, words: str, copy: Copy) -> None:
    folder = copy("llada")
    config = read_config(survey(folder))
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(folder)
        load_tokenizer(folder, config)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding: str, copy: Copy) -> None:
    folder = copy("lavida-llada")
    expected = read_config(survey(folder))
    for name in ("config.json", "vision_config.json"):
        (folder / name).write_bytes((folder / name).read_text().encode(encoding))
    assert read_config(survey(folder)) == expected
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text("\ufeff" + text)
    assert load_tokenizer(folder, expected).size


def test_json_that_is_too_deep(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="not valid JSON"):
        read_json(tmp_path / "config.json")


@torch.inference_mode()
@pytest.mark.parametrize(
    ("family", "tie", "head", "embedding"),
    [
        ("llada", "weight_tying", "model.transformer.ff_out.weight", "model.transformer.wte.weight"),
        ("dream", "tie_word_embeddings", "lm_head.weight", "model.embed_tokens.weight"),
    ],
)
def test_a_copy_of_the_embedding_beside_the_tie(family: str, tie: str, head: str, embedding: str, copy: Copy) -> None:
    folder = copy(family)
    edit(folder, **{tie: True})
    with pytest.raises(CheckpointError, match="ties the head to the embedding .* and holds another head"):
        load_checkpoint(folder)
    held = load_file(folder / "model.safetensors")
    save_file(held | {head: held[embedding].clone()}, folder / "model.safetensors")
    found_in(folder)
    model, config = load_checkpoint(folder)
    assert config.denoiser.tied_head and model.denoiser.unembedding is None
    change(folder, lambda name, t: None if name == head else t)
    assert torch.equal(logits(load_checkpoint(folder)[0]), logits(model))


def test_values_that_would_take_for_ever_are_refused(copy: Copy) -> None:
    folder = copy("lavida-llada")
    for fields in (
        {"n_layers": 10**9},
        {"d_model": 10**12},
        {"image_grid_pinpoints": "(1x1),...,(9999x9999)"},
        {"image_aspect_ratio": "anyres_max_" + "9" * 40},
        {"rope_theta": 10**400},
        {"eos_token_id": [[1]]},
        {"n_heads": 64},
    ):
        before = (folder / "config.json").read_text()
        edit(folder, **fields)
        with pytest.raises(LavidaError) as error:
            load_checkpoint(folder)
        assert "\n" not in str(error.value)
        (folder / "config.json").write_text(before)


def test_row_21_rows_beyond_the_tokenizer_are_never_written(tmp_path: Path) -> None:
    import lavida

    make_random("llada", "tiny", tmp_path / "llada")
    model = lavida.load(tmp_path / "llada")
    size, rows = model.tokenizer.size, model.net.config.denoiser.vocab_size
    assert size < rows
    with torch.no_grad():  # the rows beyond the tokenizer are the likeliest everywhere
        model.net.denoiser.unembedding.weight[size:] *= 100
    for options in ({}, {"temperature": 2.0}, {"banned": (3,)}, {"compat": "official"}):
        assert max(model.ask(None, "Who?", length=16, **options).ids) < size
