from __future__ import annotations

from dataclasses import replace
from typing import Any, get_type_hints

import pytest

from lavida.config import FAMILIES, VLMConfig
from lavida.decode.options import BUDGET, NAMES, OPTIONS, AskOptions, DecodeOptions
from lavida.decode.resolve import decode_options, family_options, model_options
from lavida.errors import RequestError
from tests.fakes import DENOISER, DenoiserConfig


def _config(family: str, **denoiser: object) -> VLMConfig:
    return VLMConfig(denoiser=DenoiserConfig(**{**DENOISER, **denoiser}), family=family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("compat", [None, "official"])
def test_every_family_has_defaults_that_hold_together(family: str, compat: str | None) -> None:
    options = DecodeOptions(**family_options(_config(family), compat))
    assert options.compat == compat
    assert options.steps is None


def test_the_small_model_commits_what_it_is_sure_of() -> None:
    assert family_options(replace(_config("lavida-mini"), shared_image=True)) == {"threshold": 0.9}
    assert family_options(_config("lavida-mini", autoregressive=True, logit_shift=True)) == {
        "cache": "none",
        "block": 1,
    }


@pytest.mark.parametrize(
    "given", ({"steps": 8}, {"factor": 1.0}, {"remasking": "margin"}, {"schedule": "cosine"}, {"choices": ("a", "b")})
)
def test_what_sets_the_pace_replaces_the_threshold_of_the_small_model(given: dict[str, object]) -> None:
    config = replace(_config("lavida-mini"), shared_image=True)
    assert model_options(config, 40, {}).threshold == 0.9
    assert model_options(config, 40, {"length": 32, "temperature": 0.5}).threshold == 0.9
    chosen = model_options(config, 40, given)
    assert chosen.threshold is None and chosen.factor == given.get("factor")
    assert model_options(config, 40, {"threshold": 0.7}).threshold == 0.7


def test_a_small_model_that_was_taught_with_full_attention_answers_so() -> None:
    assert family_options(_config("lavida-mini")) == {"threshold": 0.9, "cache": "none"}


def test_an_autoregressive_model_writes_one_token_after_the_other() -> None:
    config = _config("dream", autoregressive=True, logit_shift=True)
    assert family_options(config)["block"] == family_options(config, "official")["block"] == 1


def test_the_official_shift_is_the_one_that_reveals_late() -> None:
    assert DecodeOptions(**family_options(_config("lavida-llada"))).shift == pytest.approx(1 / 3)
    assert DecodeOptions(**family_options(_config("lavida-llada"), "official")).shift == 3


def test_a_model_that_bans_its_end_of_text_stops_at_the_end_of_the_turn() -> None:
    options = family_options(_config("llada-v", eos_ids=(41, 42), banned_ids=(41, 43)))
    assert options["banned"] == (41, 43)
    assert options["stops"] == ((42,),)
    assert "stops" not in family_options(_config("lavida-llada"))


def test_an_unknown_compat_is_refused() -> None:
    with pytest.raises(RequestError, match="unknown compat 'paper'"):
        family_options(_config("dream"), "paper")


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("temprature", "did you mean temperature?"),
        ("max_new_tokens", "did you mean length?"),
        ("block_length", "did you mean block?"),
        ("choice", "did you mean choices?"),
        ("xyzzy", "choose from length, steps,"),
    ],
)
def test_an_unknown_option_is_refused_with_a_suggestion(name: str, mend: str) -> None:
    with pytest.raises(RequestError, match=f"unknown option '{name}'; ") as caught:
        decode_options({name: 1})
    assert mend in str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {"length": 0},
        {"length": -3},
        {"length": "long"},
        {"length": 2.5},
        {"length": 10**9},
        {"steps": 0},
        {"steps": "many"},
        {"block": 0},
        {"block": True},
        {"seed": "x"},
        {"temperature": "hot"},
        {"top_k": []},
        {"banned": 5},
        {"banned": "abc"},
        {"banned": [1.5]},
        {"stops": 5},
        {"stops": [5]},
        {"stops": [[]]},
        {"counts": "all"},
        {"early_stop": "no"},
        {"schedule": ["even"]},
        {"cache": 3},
    ],
    ids=str,
)
def test_a_bad_value_is_one_line_for_every_family(family: str, options: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=next(iter(options)).rstrip("s")) as caught:
        decode_options(options, family_options(_config(family)))
    assert "\n" not in str(caught.value)


def test_a_shift_that_the_schedule_ignores_is_refused() -> None:
    assert decode_options({"shift": 3.0}).shift == 3
    with pytest.raises(RequestError, match="shift belongs to schedule shift, and this model's is even"):
        decode_options({"shift": 3.0}, family_options(_config("llada")))


@pytest.mark.parametrize("length", range(1, 100))
def test_every_promised_step_of_a_default_is_made(length: int) -> None:
    options = decode_options({"length": length}, family_options(_config("llada")))
    sizes = [end - start for start, end in options.blocks()]
    assert options.steps_per_block() == sizes  # one token a pass, as no steps are given


def test_the_typed_options_are_the_declared_ones() -> None:
    assert set(AskOptions.__annotations__) == {*NAMES, *BUDGET}
    declared, hints = get_type_hints(DecodeOptions, localns={"Language": Any}), get_type_hints(AskOptions)
    for name, option in OPTIONS.items():
        assert option.help.endswith("."), name
        if option.kind in (int, float, bool):
            assert declared[name] in (option.kind, option.kind | None), name
            assert hints[name] == option.kind | None, name
        if option.choices and name != "schedule":
            assert set(hints[name].__args__[0].__args__) | {None} == {*option.choices, None}, name
