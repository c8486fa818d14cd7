from __future__ import annotations

from dataclasses import replace

import pytest

from lavida.config import FAMILIES, VLMConfig
from lavida.decode.defaults import family_options
from lavida.decode.options import DecodeOptions
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


def test_the_small_model_keeps_the_plain_defaults() -> None:
    assert family_options(replace(_config("lavida-mini"), shared_image=True)) == {}


def test_a_small_model_that_was_taught_with_full_attention_answers_so() -> None:
    assert family_options(_config("lavida-mini")) == {"cache": "none"}


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
