"""Any model, any schedule, any number of steps: the text is in the language, or refused with good reason."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from torch import Tensor

import lavida
from lavida.config import DenoiserConfig
from lavida.constrain.canvas import CanvasConstraint, constraint_of
from lavida.constrain.dfa import Dfa, compile_term
from lavida.constrain.grammar import seq
from lavida.constrain.grammar import text as text_term
from lavida.constrain.language import Texts, choice_language, regex_language, schema_language
from lavida.decode.loop import Canvas
from lavida.decode.options import DecodeOptions
from lavida.decode.score import Query
from lavida.errors import RequestError
from lavida.text.spelling import spell
from lavida.text.tokenizer import Tokenizer
from tests.constrain.languages import as_text, random_regex, random_schema
from tests.loops import denoise
from tests.tiny import tiny_tokenizer

PHOTO = Path(lavida.__file__).parent / "assets" / "demo.jpg"


@cache
def vocabulary() -> Tokenizer:
    return tiny_tokenizer()


def denoiser(**more: Any) -> DenoiserConfig:
    ids = vocabulary()
    sizes = {"d_model": 8, "n_layers": 1, "n_heads": 1, "n_kv_heads": 1, "mlp_size": 8}
    return DenoiserConfig(vocab_size=ids.size + 5, mask_id=ids.mask_id, eos_ids=(ids.eos_id,), **sizes, **more)


def random_model(seed: int, kind: str) -> Callable[[Query], Tensor]:
    """Logits of a model that knows nothing of the language: of noise, in love with one token, or broken."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(256, vocabulary().size + 5, generator=generator) * 3
    if kind == "loves the end":
        table[:, vocabulary().eos_id] += 20
    elif kind == "loves one":
        table[:, int(torch.randint(16, 200, (1,), generator=generator))] += 20
    elif kind == "broken":
        table[::3] = torch.nan
        table[1::3] = -torch.inf
    return lambda look: table[look.rows]


MODELS = ("noise", "loves the end", "loves one", "broken")


def write_held(language: Texts, options: DecodeOptions, logits_of: Callable[[Query], Tensor]) -> str:
    """The text that the plain loop writes under a constraint."""
    config = denoiser()
    constraint = constraint_of(language, vocabulary(), config, options.banned)
    canvas = Canvas.blank(options.length, config.mask_id)
    steps = denoise(logits_of, canvas, options, mask_id=config.mask_id, eos_ids=config.eos_ids, constraint=constraint)
    *_, last = steps
    return vocabulary().decode(last.canvas.tolist(), exact=True)


def random_options(r: random.Random, length: int) -> DecodeOptions:
    """One, four or `length` tokens a step; now and then blocks, noise, a threshold, banned tokens."""
    steps = r.choice([length, max(length // 4, 1), 1])
    more: dict[str, Any] = r.choice(
        [
            {},
            {},
            {"temperature": 1.0, "top_k": 3},
            {"temperature": 0.7, "top_p": 0.5},
            {"threshold": 0.3},
            {"remasking": "random"},
            {"remasking": "entropy", "schedule": "cosine"},
            {"banned": tuple(r.sample(range(16, 280), 40))},
            {"early_stop": False},
        ]
    )
    if steps > 3 and r.random() < 0.3:
        more = {**more, "block": max(length // 3, 1)}
    return DecodeOptions(length=length, steps=steps, seed=r.randrange(1000), **more)


def fewest_tokens(dfa: Dfa, banned: tuple[int, ...], ids: Tokenizer) -> int | None:
    """The fewest tokens that spell a text of the language, found by bytes without any automaton of tokens."""
    spelling = spell(ids)
    tokens = {spelling.bytes_of(i) for i in range(spelling.size) if i not in banned} - {b""}
    level, seen, count = {0}, set(), 0
    while level:
        if any(dfa.final[state] for state in level):
            return count
        seen |= level
        level = {to for state in level for token in tokens if (to := _walk(dfa, state, token)) >= 0} - seen
        count += 1
    return None


def _walk(dfa: Dfa, state: int, data: bytes) -> int:
    for byte in data:
        if state < 0:
            return -1
        state = int(dfa.next[state, dfa.class_of[byte]])
    return state


def random_request(r: random.Random) -> tuple[Texts, dict[str, Any], Callable[[str], bool]]:
    """A language, how a user asks for it, and whether a text belongs to it by somebody else's reckoning."""
    if r.random() < 0.5:
        pattern, sample = random_regex(r)
        assert re.fullmatch(pattern, sample), "the generator of tests is wrong"
        language, asked, fits = (
            regex_language(pattern),
            {"regex": pattern},
            lambda text: re.fullmatch(pattern, text) is not None,
        )
    else:
        schema, value = random_schema(r)
        sample = as_text(value)
        try:
            language = schema_language(schema)
        except RequestError as error:  # an anyOf may repeat a reference to nothing; there is no other reason here
            raise AssertionError(f"{schema} was refused: {error}") from None
        valid = jsonschema.Draft202012Validator(schema).is_valid
        asked, fits = {"schema": schema}, lambda text: valid(json.loads(text))
    assert compile_term(language.term).accepts(sample), f"{sample!r} was lost"
    return language, asked, fits


def check_refusal(error: RequestError, language: Texts, options: DecodeOptions, ids: Tokenizer) -> None:
    """No text of the language fits, found by bytes; and the message says how many tokens one needs."""
    fewest = fewest_tokens(compile_term(seq(text_term(" "), language.term)), options.banned, ids)
    assert fewest is None or fewest > options.length, f"refused without reason: {error}"
    assert fewest is None or f"needs {fewest};" in str(error)


def check(seed: int) -> bool:
    """One random request to a model of random logits; whether it was accepted."""
    r = random.Random(seed)
    language, _, fits = random_request(r)
    options = random_options(r, r.choice([3, 8, 16, 24, 40]))
    try:
        text = write_held(language, options, random_model(seed, r.choice(MODELS)))
    except RequestError as error:
        check_refusal(error, language, options, vocabulary())
        return False
    assert fits(text), f"{text!r} is not in the language"
    return True


def check_mini(model: lavida.Model, seed: int) -> bool:
    """One random request to the model that comes with the package; whether it was accepted."""
    r = random.Random(seed)
    language, asked, fits = random_request(r)
    length = r.choice([3, 8, 16, 24])
    options = DecodeOptions(length=length, steps=r.choice([length, max(length // 4, 1), 1]))
    try:
        text = model.ask(PHOTO, "What is this?", length=length, steps=options.steps, **asked).text
    except RequestError as error:
        check_refusal(error, language, options, model.tokenizer)
        return False
    assert fits(text), f"{text!r} is not in the language"
    return True


def test_the_text_is_in_the_language_or_the_request_is_refused_with_good_reason() -> None:
    accepted = sum(check(seed) for seed in range(60))
    assert 30 <= accepted < 60  # both happen


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_two_thousand_requests(part: int) -> None:
    assert sum(check(seed) for seed in range(1000 + 100 * part, 1100 + 100 * part)) > 50


@pytest.fixture(scope="module")
def mini() -> lavida.Model:
    return lavida.load()


def test_the_default_model_keeps_to_random_forms(mini: lavida.Model) -> None:
    accepted = sum(check_mini(mini, seed) for seed in range(12))
    assert 4 <= accepted < 12


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_two_thousand_requests_to_the_default_model(mini: lavida.Model, part: int) -> None:
    assert sum(check_mini(mini, seed) for seed in range(1000 + 100 * part, 1100 + 100 * part)) > 50


def test_choices_longer_and_shorter_than_each_other_in_one_step() -> None:
    choices = ["a", "a cat and a dog", "é", "one red ball"]
    for seed in range(8):
        text = write_held(choice_language(choices), DecodeOptions(length=16, steps=1), random_model(seed, "noise"))
        assert text in choices


def test_the_shortest_length_is_named_before_the_first_step() -> None:
    language = choice_language(["zzzzzzzzzz"])

    def never(look: Query) -> Tensor:
        raise AssertionError("the model was asked")

    with pytest.raises(RequestError, match="5 tokens cannot hold the shortest text .* needs 11; set"):
        write_held(language, DecodeOptions(length=5), never)
    assert write_held(language, DecodeOptions(length=11), random_model(0, "noise")) == "zzzzzzzzzz"


def test_the_empty_language_is_refused() -> None:
    with pytest.raises(RequestError, match="allows no text at all"):
        write_held(regex_language(r"[^\s\S]"), DecodeOptions(length=8), random_model(0, "noise"))


def test_constraints_hold_where_text_is_given() -> None:
    config, ids = denoiser(), vocabulary()
    constraint = constraint_of(regex_language("(a|b|c){6}"), ids, config)
    draft = torch.full((8,), config.mask_id)
    draft[3] = ids.encode("c")[-1]
    steps = denoise(
        random_model(1, "noise"),
        Canvas.draft(draft, config.mask_id),
        DecodeOptions(length=8, steps=2),
        mask_id=config.mask_id,
        eos_ids=config.eos_ids,
        constraint=constraint,
    )
    *_, last = steps
    text = ids.decode(last.canvas.tolist(), exact=True)
    assert re.fullmatch("[abc]{6}", text) and last.canvas[3] == draft[3]


def test_what_is_given_and_cannot_be_kept_is_refused() -> None:
    config, ids = denoiser(), vocabulary()
    constraint: CanvasConstraint = constraint_of(regex_language("[ab]{6}"), ids, config)
    draft = torch.full((8,), config.mask_id)
    draft[3] = ids.encode("c")[-1]
    with pytest.raises(RequestError, match="no text that the constraint allows fits what the canvas holds"):
        constraint.check(draft)
