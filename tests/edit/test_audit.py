from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from lavida.decode.likelihood import log_likelihood
from lavida.decode.prompt import Prompt
from lavida.edit.audit import audit_ids, token_scores, word_spans
from lavida.text.chat import TEMPLATES
from tests.edit.oracle import oracle
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer

SEEN = {"two owls and a cat.": 1.0}
BLIND = {"two owls and a cat.": 1.0, "two owls and a dog.": 3.0}


def test_support_is_what_the_picture_adds_to_a_words_likelihood() -> None:
    seen = oracle({**SEEN, "two owls and a dog.": 1e-3})
    blind = replace(oracle(BLIND), tokenizer=seen.tokenizer)
    audit = audit_ids(seen, blind, seen.tokenizer.encode("two owls and a cat."))
    assert audit.text == "two owls and a cat."
    assert [word.text for word in audit.words] == [" two", " owls", " and", " a", " cat", "."]
    support = {word.text.strip(): word.support for word in audit.words}
    assert support.pop("cat") == pytest.approx(math.log(4), abs=0.02)
    assert all(abs(value) < 0.01 for value in support.values())


def test_the_likeliest_word_at_each_place_is_told() -> None:
    seen, blind = oracle({"two owls and a cat.": 9.0, "two owls and a dog.": 1.0}), oracle(BLIND)
    audit = audit_ids(seen, blind, seen.tokenizer.encode("two owls and a dog."))
    doubtful = min(audit.words, key=lambda word: word.seen)
    assert doubtful.text == " dog" and doubtful.tokens[0].instead == " cat"
    assert doubtful.seen == pytest.approx(math.log(0.1), abs=0.01)
    assert doubtful.tokens[0].instead_seen == pytest.approx(math.log(0.9), abs=0.01)


def test_the_tokens_of_a_word_add_up_to_the_word() -> None:
    # "owls" is unknown to the tokenizer as a whole: its pieces must not give each other away.
    prompt = oracle({"a cat.": 1.0, "an owl.": 1.0})
    ids = prompt.tokenizer.encode("a cat.")
    spans = [(0, 2), (2, 3)]
    own, _, _ = token_scores(prompt, ids, spans, length=16)
    assert own[:2].sum().item() == pytest.approx(math.log(0.5), abs=0.01)  # "a cat" against "an owl", counted once
    each, _, _ = token_scores(prompt, ids, [(i, i + 1) for i in range(3)], length=16)
    assert each[:2].sum().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([" two", " phot", "o", "s", ",", " a", "."], [" two", " photos", ",", " a", "."]),
        (["The", " cat", "'", "s", " hat", "!", "?"], ["The", " cat's", " hat", "!?"]),
        ([" ", "猫", "狗", "。"], [" 猫", "狗", "。"]),
        ([" x", "\ufffd", "\ufffd", " y"], [" x\ufffd\ufffd", " y"]),
        ([" 1", "2", "."], [" 12", "."]),
    ],
)
def test_tokens_are_gathered_into_words(tokens: list[str], words: list[str]) -> None:
    assert ["".join(tokens[a:b]) for a, b in word_spans(tokens)] == words


def test_what_a_left_to_right_model_says_is_its_likelihood() -> None:
    tokenizer = tiny_tokenizer()
    config = tiny_config(tokenizer)
    net = tiny_net(replace(config, denoiser=replace(config.denoiser, autoregressive=True, logit_shift=True)))
    segments = net.segments(torch.tensor(tokenizer.encode("What is this?")), [])
    prompt = Prompt.of(net, segments)
    prompt.tokenizer, prompt.template = tokenizer, TEMPLATES["lavida-mini"]
    ids = tokenizer.encode("a cat and a dog")
    own, best, values = token_scores(prompt, ids, word_spans([tokenizer.token(i) for i in ids]), length=16)
    assert own.sum().item() == pytest.approx(
        log_likelihood(Prompt.of(net, segments), torch.tensor(ids)).value, rel=1e-4
    )
    assert (values >= own - 1e-6).all() and not torch.isin(best, prompt.unwritable).any()
