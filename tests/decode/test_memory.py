from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "step_memory.py"
needs_peak = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux tells a process its peak"
)


def _megabytes(*options: object) -> dict[int, float]:
    """What a step at canvas 1024 and a vocabulary of 126,464 takes, by the length of the prompt."""
    command = [sys.executable, str(SCRIPT), "--canvas", "1024", *map(str, options)]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    lines = run.stdout.splitlines()
    return {found["prompt"]: found["megabytes"] for found in map(json.loads, lines)}


@needs_peak
@pytest.mark.parametrize("remasking", ["confidence", "entropy"])
def test_a_step_makes_no_logits_of_canvas_times_vocabulary(remasking: str) -> None:
    # Those of the canvas alone would be 259 MB in bfloat16 and 1,036 MB in float64, as much again for the prompt's.
    small = ("--width", 32, "--mlp", 64, "--heads", 2, "--cache", "none", "--remasking", remasking)
    took = _megabytes(*small, "--prompt", 16, 1024)
    assert took[16] < 120
    assert took[1024] < took[16] + 40


@needs_peak
@pytest.mark.slow
def test_a_step_of_an_8b_model_takes_less_than_300_megabytes() -> None:
    assert _megabytes("--prompt", 1024)[1024] < 300
