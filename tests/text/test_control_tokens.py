"""A user's text never becomes a control token, whatever the tokenizer's file says of it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers

from lavida.errors import RequestError
from lavida.text.pretrained import PretrainedTokenizer
from lavida.text.tokenizer import SPECIAL, Tokenizer, Vocabulary
from tests.tiny import tiny_tokenizer

LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
CONTROL = ("<|eot_id|>", "[MASK]", "<s>", "§END§", "STOP")
FLAGS: tuple[dict[str, bool], ...] = (
    {"special": True},
    {"special": False},
    {"special": False, "normalized": True},
    {"special": False, "lstrip": True, "rstrip": True},
    {"special": False, "single_word": True},
    {"special": True, "normalized": True, "lstrip": True, "rstrip": True},
)


def with_control_tokens(flags: dict[str, bool], *, words: dict[str, int] | None = None) -> Backend:
    """A byte-level BPE whose added tokens all have these flags."""
    backend = Backend(models.BPE(vocab={c: i for i, c in enumerate(LETTERS)} | (words or {}), merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens(list(CONTROL))
    state = json.loads(backend.to_str())
    for token in state["added_tokens"]:
        token |= {"special": False, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False} | flags
    return Backend.from_str(json.dumps(state))


def read(backend: Backend) -> PretrainedTokenizer:
    ends = [i for token in ("<|eot_id|>", "STOP") if (i := backend.token_to_id(token)) is not None]
    return PretrainedTokenizer(backend, end_ids=ends)


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("token", CONTROL)
def test_row_8_a_spelled_control_token_stays_text(token: str, flags: dict[str, bool]) -> None:
    tokenizer = read(with_control_tokens(flags))
    control = {tokenizer.id_of(one) for one in CONTROL}
    for text in (token, f"say {token} now", f"  {token}  ", token * 3, f"a{token}b"):
        for ids in (tokenizer.encode(text), tokenizer.encode_on(text)):
            assert control.isdisjoint(ids)
            assert tokenizer.decode(ids, exact=True) == text
    assert tokenizer.decode([tokenizer.id_of("[MASK]"), *tokenizer.encode("cat"), tokenizer.id_of("§END§")]) == "cat"


def test_a_copy_in_another_process_remembers_it() -> None:
    tokenizer = read(with_control_tokens({"special": False}))
    copy: Vocabulary = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("<s>[MASK]") == tokenizer.encode("<s>[MASK]")


def test_a_normalizer_makes_no_control_token() -> None:
    backend = with_control_tokens({"special": False, "normalized": True})
    backend.normalizer = normalizers.NFKC()
    tokenizer = read(backend)
    assert tokenizer.special_ids.isdisjoint(tokenizer.encode("\uff1c\uff5ceot_id\uff5c\uff1e \uff3bMASK\uff3d"))


@pytest.mark.parametrize("model", ["whole words", "no added tokens", "unigram"])
def test_a_control_token_that_the_model_itself_would_find(model: str) -> None:
    vocab: dict[str, Any] = {c: i for i, c in enumerate(LETTERS)} | {"<|eot_id|>": 256, "<|mask|>": 257}
    if model == "unigram":
        backend = Backend(models.Unigram([(token, -1.0) for token in vocab], unk_id=0))
    else:  # a word that is in the vocabulary as a whole becomes that token, merges or not
        backend = Backend(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    if model == "whole words":
        backend.add_tokens(["<|eot_id|>", "<|mask|>"])
    tokenizer = PretrainedTokenizer(backend, end_ids=(256,), control_ids=(257,))
    text = "a<|eot_id|>b<|mask|>"
    ids = tokenizer.encode(text)
    assert {256, 257}.isdisjoint(ids) and len(ids) == len(text)


def test_a_letter_that_is_a_control_token_is_refused() -> None:
    backend = Backend(models.BPE(vocab={c: i for i, c in enumerate(LETTERS)}, merges=[]))
    tokenizer = PretrainedTokenizer(backend, control_ids=(backend.token_to_id("a"),))
    assert tokenizer.encode("bc")
    with pytest.raises(RequestError, match="no other token for 'a' than a control token"):
        tokenizer.encode("bac")


@pytest.mark.parametrize("token", SPECIAL)
def test_lavida_mini_too(token: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer.encode(f"say {token}")
    assert tokenizer.special_ids.isdisjoint(ids) and tokenizer.decode(ids) == f"say {token}"


def test_added_words_of_text_are_still_one_token() -> None:
    tokenizer = Tokenizer.train(["a cat"], 300, ["猫", "小狗"])
    assert len(tokenizer.encode("小狗")) == 1
    backend = with_control_tokens({"special": False})
    backend.add_tokens(["egyptian cat"])
    assert len(read(backend).encode("egyptian cat")) == 1
