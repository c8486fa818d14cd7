"""A batch job that is killed at random moments, and started again, has each input in its output exactly once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import torch

from lavida.batch.job import Job
from lavida.batch.run import prepare
from tests.batch.jobs import FEW, lines_of, run, write_folder, write_lines

KILLS, INPUTS = 5, 36


def work(job: Job) -> None:
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    with prepare(job) as prepared:
        for _ in prepared.lines():
            pass


def start(job: Job) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=work, args=(job,))
    process.start()
    return process


def held(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def killed(job: Job, lines: int, delay: float) -> None:
    """Start a job and kill it `delay` seconds after so many lines are there."""
    process = start(job)
    while held(job.out) < lines and process.is_alive():
        time.sleep(0.002)
    time.sleep(delay)
    assert process.pid is not None and process.is_alive(), "the job came to its end before it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_five_kills_lose_nothing_and_repeat_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    folder, rng = write_folder(tmp_path / "photos", INPUTS), random.Random(0)
    records = [{"id": f"id {n}", "image": str(p), "options": {"seed": n}} for n, p in enumerate(folder.rglob("*.png"))]
    path = write_lines(tmp_path / "in.jsonl", [*records, b"a broken line"])
    whole = run(tiny_folder, path, tmp_path / "whole.jsonl")
    job = Job(model=str(tiny_folder), inputs=str(path), out=tmp_path / "out.jsonl", options=FEW)
    moments = sorted(rng.sample(range(INPUTS // 3), KILLS))  # lines that are there; a busy machine kills late
    for lines in moments:
        killed(job, lines, rng.uniform(0, 0.01))
        assert held(job.out) < len(whole)
    last = start(job)
    last.join()
    assert last.exitcode == 0 and lines_of(job.out) == whole
