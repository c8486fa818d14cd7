"""The tokenizer gives back what it was given, keeps digits apart, and its errors are one line."""

from __future__ import annotations

import pytest

from lavida.checkpoint.named import find_model
from lavida.errors import CheckpointError
from lavida.text.tokenizer import EOS, MASK, Tokenizer
from tests.tiny import WORDS, tiny_tokenizer


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


def test_given_words_are_one_token_wherever_they_stand(tmp_path):
    words = ["\u732b", "\u732b\u5934\u9e70", "\u53ea", "\u4e24"]  # cat, owl, a measure word, two
    plain = Tokenizer.train(WORDS, 280)
    Tokenizer.train(WORDS, 284, words).save(tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    ids = {word: tokenizer.encode(word) for word in words}
    assert plain.size == 280 and [ids[word] for word in words] == [[280], [281], [282], [283]]
    text = "\u4e24\u53ea\u732b\u4e24\u53ea\u732b\u5934\u9e70"
    assert tokenizer.encode(text) == [283, 282, 280, 283, 282, 281] and tokenizer.decode(tokenizer.encode(text)) == text
    assert 280 in tokenizer.encode('{"\u732b": 2}')
    assert tokenizer.encode("a cat") == plain.encode("a cat")


def test_tokens_with_chinese_characters_are_known() -> None:
    tokenizer = Tokenizer.load(find_model("lavida-mini"))
    chinese = set(tokenizer.chinese_ids)
    assert {*tokenizer.encode("猫"), *tokenizer.encode("。")} <= chinese
    assert chinese.isdisjoint(tokenizer.encode("A cat, “naïve” or élève: 3 × 4.")) and chinese.isdisjoint(
        tokenizer.special_ids
    )
    assert all(any(ord(char) > 0x3000 for char in tokenizer.token(i)) for i in chinese)
