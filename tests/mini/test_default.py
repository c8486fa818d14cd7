"""The model that comes with the package: it loads, answers about the demo photograph, and does so alike each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lavida

DEMO = Path(lavida.__file__).parent / "assets" / "demo.jpg"
ROOM = 75_000_000  # bytes: tower, projector, denoiser, detector, reader, tokenizer and names


@pytest.fixture(scope="module")
def model():
    return lavida.load()


def test_all_of_it_fits():
    files = list((DEMO.parent / "mini").iterdir())
    parts = {"detector.safetensors", "reader-detector.onnx", "reader-recogniser.onnx", "names.json", "NOTICE"}
    words = {"config.json", "labels.json", "model.safetensors", "tokenizer.json", "confidence.json"}
    assert {f.name for f in files} == parts | words
    assert sum(f.stat().st_size for f in files) <= ROOM


def test_one_token_for_each_name_and_whole_json_punctuation(model):
    from mini.data.concepts import CONCEPTS

    names = [word for c in CONCEPTS.values() for word in (c.name, c.plural)]
    assert [n for n in names if len(model.tokenizer.encode(n)) != 1] == []


@pytest.mark.parametrize("cache", ["prefix", "none"])
def test_same_seed_same_text_on_one_and_two_threads(model, cache):
    before, texts = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model.forget()
            texts.append(model.describe(DEMO, temperature=0.5, seed=7, steps=8, cache=cache).text)
    finally:
        torch.set_num_threads(before)
    assert texts[0] == texts[1] and texts[0]


def test_steps_are_counted_and_everything_is_written(model):
    for steps in (4, 16):
        answer = model.describe(DEMO, steps=steps, early_stop=False)
        assert answer.steps == steps and model.net.config.denoiser.mask_id not in answer.ids


def test_the_likelier_answer_about_the_demo_photograph(model):
    choice = model.choose(DEMO, "What is this?", ["a car", "a cat"])
    assert choice.best == 1 and choice.probabilities[1] > 0.9 and choice.errors == (0, 0)


def test_a_cold_start_imports_no_compiler():
    code = """
import sys, lavida
lavida.load().describe(sys.argv[1], steps=1)
sys.exit(", ".join(m for m in ("torch._dynamo", "torch._inductor", "transformers") if m in sys.modules) or 0)
"""
    run = subprocess.run([sys.executable, "-c", code, str(DEMO)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
