"""The tokenizer gives back what it was given, keeps digits apart, and its errors are one line."""

from __future__ import annotations

import pytest

from lavida.errors import CheckpointError
from lavida.text.tokenizer import EOS, MASK, Tokenizer
from tests.tiny import tiny_tokenizer


@pytest.mark.parametrize("text", ["a cat and a dog", '{"cat": 2, "dog": 10}', "caf\u00e9 \u732b", "  two  spaces"])
def test_any_text_comes_back(text):
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text.strip()


def test_digits_stand_alone_and_text_ends_at_the_end_token():
    tokenizer = tiny_tokenizer()
    assert [tokenizer.token(i) for i in tokenizer.encode("1234")][-4:] == ["1", "2", "3", "4"]
    ids = tokenizer.encode("a cat")
    assert tokenizer.decode([*ids, tokenizer.eos_id, *ids]) == "a cat"
    assert tokenizer.decode([*ids, tokenizer.mask_id]) == "a cat"


def test_saved_and_loaded(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.encode("a cat") == tokenizer.encode("a cat")
    assert (again.id_of(EOS), again.id_of(MASK)) == (tokenizer.eos_id, tokenizer.mask_id)


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="cannot read the tokenizer"):
        Tokenizer.load(tmp_path)
    with pytest.raises(CheckpointError, match="has no token"):
        tiny_tokenizer().id_of("<|nonsense|>")
