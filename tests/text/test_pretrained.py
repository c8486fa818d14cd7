"""Tokenizers of published checkpoints: both layouts, code in the folder left alone, one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from lavida.config import DenoiserConfig, VLMConfig
from lavida.errors import CheckpointError
from lavida.text.pretrained import PretrainedTokenizer, load_tokenizer
from lavida.text.tokenizer import Tokenizer
from tests.tiny import tiny_tokenizer

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>")
TEXT = "What is this? caf\u00e9 12345\n  \u732b<|im_end|>"


def text_config(family: str, rows: int = 320) -> VLMConfig:
    """A text-only model of a family."""
    sizes = {"d_model": 32, "n_layers": 1, "n_heads": 2, "n_kv_heads": 2, "mlp_size": 32}
    return VLMConfig(denoiser=DenoiserConfig(vocab_size=rows, mask_id=0, eos_ids=(1,), **sizes), family=family)


def backend() -> Backend:
    tokenizer = Backend(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["What is this? a cat"] * 3, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dream's layout: vocab.json, merges.txt, and a tokenizer class whose code lies beside them."""
    folder = tmp_path_factory.mktemp("slow")
    bare = backend()
    bare.model.save(str(folder))
    first = bare.get_vocab_size()
    added = {str(first + i): {"content": token, "special": True} for i, token in enumerate(SPECIAL)}
    config = {
        "added_tokens_decoder": added,
        "tokenizer_class": "DreamTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "tokenization_dream.py").write_text("raise SystemExit('code of a checkpoint was run')\n")
    return folder


def test_both_layouts_give_text_back_and_ids_of_special_tokens(slow: Path, tmp_path: Path) -> None:
    fast = backend()
    fast.add_special_tokens(list(SPECIAL))
    fast.save(str(tmp_path / "tokenizer.json"))
    for folder in (slow, tmp_path):
        tokenizer = PretrainedTokenizer.load(folder)
        ids = [tokenizer.id_of(token) for token in SPECIAL]
        assert ids == list(range(ids[0], ids[0] + 5)) and tokenizer.size == ids[-1] + 1
        assert tokenizer.token(ids[2]) == "<|im_end|>" and ids[2] not in tokenizer.encode(TEXT)
        assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_text_ends_at_the_end_token_and_saves(slow: Path, tmp_path: Path) -> None:
    bare = PretrainedTokenizer.load(slow)
    end, mask = bare.id_of("<|im_end|>"), bare.id_of("<|mask|>")
    tokenizer = PretrainedTokenizer.load(slow, end_ids=(end,))
    words = tokenizer.encode("a cat")
    assert tokenizer.decode([*words, mask, end, *words]) == "a cat"
    tokenizer.save(tmp_path)
    assert PretrainedTokenizer.load(tmp_path).encode(TEXT) == tokenizer.encode(TEXT)


def test_the_family_decides_which_tokenizer_is_read(slow: Path, tmp_path: Path) -> None:
    tiny_tokenizer().save(tmp_path)
    assert isinstance(load_tokenizer(tmp_path, text_config("lavida-mini")), Tokenizer)
    assert isinstance(load_tokenizer(slow, text_config("dream")), PretrainedTokenizer)


def test_what_is_wrong_is_one_line(slow: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no tokenizer; fetch tokenizer\.json, or vocab\.json and merges"):
        PretrainedTokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot read the tokenizer") as error:
        PretrainedTokenizer.load(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match=r"has \d+ ids and the model 100 embeddings"):
        load_tokenizer(slow, text_config("dream", rows=100))
