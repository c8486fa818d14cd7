"""`lavida train` killed at random moments goes on to the same losses and the same weights, to the bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace

import pytest
import torch

from lavida.train.launch import train
from lavida.train.trainer import Habits
from tests.train.test_finetune import QUICK, entry, events, options, quiet, small, write_set  # noqa: F401

KILLS, STEPS = 20, 12


def told(out):
    """Losses by step, and the weights."""
    return [(line["step"], line["loss"]) for line in events(out, "step")], (
        out / "model" / "model.safetensors"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.sharded
def test_twenty_kills_change_nothing(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i, None if i % 3 else "a.png") for i in range(24)])
    recipe = replace(QUICK, steps=STEPS)

    def work(out):
        torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
        train(recipe, options(small, data, out, held_out=2, habits=Habits(log=1, save=0)), say=quiet)

    def start(out):
        process = multiprocessing.get_context("fork").Process(target=work, args=(out,))
        process.start()
        return process

    began = time.monotonic()
    start(tmp_path / "whole").join()
    lasted, whole = time.monotonic() - began, told(tmp_path / "whole")
    assert len(whole[0]) == STEPS
    kills, runs, drafts, rng = 0, 0, 0, random.Random(0)
    while True:
        out = tmp_path / f"run {runs}"
        process = start(out)
        process.join(timeout=rng.uniform(0, lasted) if kills < KILLS else None)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
            drafts += any((out / "state").glob(".step-*"))
        else:  # it came to its end
            assert process.exitcode == 0 and told(out) == whole
            runs += 1
            if kills == KILLS:
                break
    assert drafts, "no kill fell into a save"
