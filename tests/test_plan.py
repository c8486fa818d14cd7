from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lavida.checkpoint.make_random import random_config
from lavida.cli.main import main
from lavida.errors import RequestError
from lavida.plan import (
    ACCELERATORS,
    Accelerator,
    Reached,
    Stage,
    answer_time,
    count,
    largest_batch,
    training_time,
)
from lavida.train.recipes import RECIPES

TINY = random_config("lavida-llada", "tiny")
FULL = random_config("lavida-llada", "8b")
EASY = Accelerator(name="easy", peak=1e12, bandwidth=1e9, memory=1e9, link=1e9)
ALL = Reached(products=1, bandwidth=1, training=1, link=1)


def test_counts_are_those_of_the_formulas() -> None:
    found, d = count(TINY, canvas=8), TINY.denoiser
    rows = found.prompt
    matrices = 4 * d.d_model**2 + 3 * d.d_model * d.mlp_size  # q, k, v, out; gate, up, down
    assert d.n_kv_heads == d.n_heads
    assert found.prefill_flops == d.n_layers * (2 * rows * matrices + 4 * rows * rows * d.d_model)
    one_pass = d.n_layers * (2 * 8 * matrices + 4 * 8 * (rows + 8) * d.d_model) + 2 * 8 * d.d_model * d.vocab_size
    assert found.pass_flops == one_pass
    assert found.token_bytes == 2 * d.n_layers * d.d_model * 2
    assert count(TINY, canvas=8, picture=(768, 384)).views > 1


def test_the_longer_of_two_times_counts() -> None:
    counts = replace(
        count(TINY), vision_flops=3e12, vision_bytes=1e9, prefill_flops=1e9, denoiser_bytes=2e9, pass_flops=1e9,
        token_bytes=0.0,
    )  # fmt: skip
    found = answer_time(counts, EASY, ALL, steps=5)
    assert (found.vision, found.prefill, found.passes) == (pytest.approx(3), pytest.approx(2), pytest.approx(10))
    slower = answer_time(counts, EASY, replace(ALL, bandwidth=0.5, launch=0.25), steps=5)
    assert slower.passes == pytest.approx(5 * 4.25) and slower.total > found.total


@pytest.mark.parametrize(
    ("steps", "cached", "published"), [(32, False, 7.65), (16, False, 4.13), (32, True, 1.93), (16, True, 1.23)]
)
def test_the_published_seconds_of_lavida_come_out(steps: int, cached: bool, published: float) -> None:
    """arXiv 2505.16839 on one A5000, a canvas of 32, with the cache and without; 25 ms to launch a pass fit all."""
    found = answer_time(count(FULL), ACCELERATORS["a5000"], Reached(launch=0.025), steps=steps, cached=cached)
    assert found.total == pytest.approx(published, rel=0.15)


def test_the_published_seconds_of_a_training_step_come_out() -> None:
    """37.2 s at best for 128 samples of stage 2 on eight A6000 (the same paper)."""
    stage = Stage.of(RECIPES["finetune"], 1_000_000, answer=150)
    found = training_time(FULL, stage, ACCELERATORS["a6000"], Reached(), devices=8, batch=128)
    assert found.hours * 3600 / (stage.samples / 128) == pytest.approx(37.2, rel=0.15)


def test_what_does_not_fit_is_told() -> None:
    assert largest_batch(count(FULL), ACCELERATORS["h200"]) > largest_batch(count(FULL), ACCELERATORS["h100"]) >= 32
    with pytest.raises(RequestError, match="easy has 1 GB and the model needs 19"):
        largest_batch(count(FULL), EASY)


def test_training_takes_what_learns_and_is_limited_by_the_slowest() -> None:
    align, finetune = (Stage.of(RECIPES[name], 1000, answer=100) for name in ("align", "finetune"))
    assert align.samples == 1000 and finetune.samples == 2000 and finetune.copies == 2
    assert not align.denoiser and finetune.tower
    assert Stage.of(RECIPES["fim"], 1, answer=9).samples == 1560 * 128
    device = ACCELERATORS["h100"]
    one, eight = (training_time(FULL, finetune, device, ALL, devices=n, batch=128) for n in (1, 8))
    assert one.hours == pytest.approx(8 * eight.hours) and not one.fits and eight.fits
    slow = training_time(FULL, finetune, replace(device, link=1e8), ALL, devices=8, batch=128)
    assert slow.bound == "link" and slow.hours > eight.hours
    many = training_time(FULL, finetune, replace(device, network=1e8), ALL, devices=512, batch=128)
    assert many.batch == 512 and many.bound == "network"
    frozen = training_time(FULL, replace(finetune, denoiser=False, tower=False), device, ALL, devices=8, batch=128)
    assert frozen.hours < eight.hours


def test_the_command_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--gpus", "8", "--steps", "4"]) == 0
    text = capsys.readouterr().out
    assert "pictures/s" in text and "finetune" in text and "llada-v" not in text
    assert main(["plan", "--json", "--model", "lavida-dream"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [stage["stage"] for stage in facts["training"]] == ["align", "finetune", "fim", "reason"]
    assert facts["captions"][0]["gpu_hours"] > facts["captions"][2]["gpu_hours"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "tpu"], "unknown device"),
        (["--gpus", "8,x"], "--gpus takes whole numbers"),
        (["--model", "dream"], "reads text only"),
        (["--steps", "33"], "steps 1 to canvas"),
        (["--products", "1.5"], "share of products"),
        (["--launch", "-1"], "launching a pass"),
        (["--device", "a5000", "--model", "llada-v", "--canvas", "1024"], ""),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["plan", *arguments])
    said = capsys.readouterr().err
    assert code == (2 if words else 0) and words in said and said.count("\n") <= 1
