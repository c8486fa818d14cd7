"""Two processes under torchrun train published families as one process does: bfloat16, a SigLIP tower, LoRA, resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import lavida
from lavida.checkpoint.make_random import make_random
from lavida.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.sharded]
ROOT = Path(__file__).parents[2]
TORCHRUN = ("torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m")
WAYS = {
    "lavida-llada": (),
    "lavida-dream": ("--freeze", "tower"),
    "llada-v": ("--shard", "1"),
    "lavida-llada with adapters": ("--lora", "2"),
}


def command(*words: object, start: tuple[str, ...] = (), ok: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `lavida WORDS`, on two processes if `start` says so."""
    line = [sys.executable, "-m", *start, "lavida.cli.main", *map(str, words)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=600, env=env)
    assert not ok or done.returncode == 0, done.stderr[-3000:]
    return done


def write_set(folder: Path) -> Path:
    """Write eight entries, three of them without a picture."""
    folder.mkdir()
    Image.new("RGB", (64, 48), "red").save(folder / "a.png")
    lines = []
    for i in range(8):
        turns = [{"from": "human", "value": "What is this?"}, {"from": "gpt", "value": f"a cat {i}"}]
        lines.append(json.dumps({"conversations": turns} | ({"image": "a.png"} if i % 3 else {})))
    path = folder / "set.jsonl"
    path.write_text("\n".join(lines))
    return path


def losses(out: Path) -> list[float]:
    """Return the losses of the steps."""
    events = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [event["loss"] for event in events if event["event"] == "step"]


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_train_one_resumes_and_the_model_answers(way: str, tmp_path: Path) -> None:
    if "--lora" in WAYS[way]:
        pytest.importorskip("peft")
    make_random(way.split()[0], "tiny", tmp_path / "model")
    data = write_set(tmp_path / "data")
    words = ["train", "finetune", "--model", tmp_path / "model", "--data", data, "--steps", 3, "--batch", 4]
    words += ["--micro", 2, "--held-out", 1, "--log-every", 1, *WAYS[way]]
    shared = ("--shard", "1") if "--shard" in WAYS[way] else ()
    alone = [word for word in words if word not in shared]
    assert main([*map(str, alone), "--out", str(tmp_path / "one")]) == 0
    assert len(losses(tmp_path / "one")) == 3
    command(*words, "--out", tmp_path / "two", "--minutes", 0, start=TORCHRUN)
    assert len(losses(tmp_path / "two")) == 1
    assert main([*map(str, alone), "--out", str(tmp_path / "two")]) == 0  # the other steps on one process
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=0.05)
    model = lavida.load(tmp_path / "two" / "model")
    assert isinstance(model.ask(tmp_path / "data" / "a.png", "What is this?", length=8, steps=4).text, str)


def test_an_error_is_one_line_last_on_the_screen(tmp_path: Path) -> None:
    make_random("llada", "tiny", tmp_path / "model")
    data = write_set(tmp_path / "data")
    words = ["train", "finetune", "--model", tmp_path / "model", "--out", tmp_path / "run", "--batch", 4]
    done = command(*words, "--data", tmp_path / "none.jsonl", start=TORCHRUN, ok=False)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("lavida: ") and "none.jsonl: no such file" in last
    # An error of the first process alone: the other one only loses its connection, and stays silent.
    (tmp_path / "run" / "state" / "step-1").mkdir(parents=True)
    done = command(*words, "--data", data, "--micro", 2, "--steps", 2, start=TORCHRUN, ok=False)
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("lavida: every checkpoint in") and "Connection" not in done.stderr
