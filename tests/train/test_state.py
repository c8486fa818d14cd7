"""Checkpoints: exact, whole or not there, written while training goes on, whatever kills the process."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from lavida.errors import DataError
from lavida.train import state
from lavida.train.state import Checkpoints

STEPS = 80


class Run:
    """A few numbers in training, with dropout and noise from two generators; each loss is written down."""

    def __init__(self, out: Path) -> None:
        torch.manual_seed(0)
        self.rng = random.Random(0)
        self.net = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.1), nn.GELU(), nn.Linear(64, 1))
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-2)
        self.checkpoints, self.out, self.step = Checkpoints(out / "state"), out, 0

    def update(self) -> None:
        x = torch.randn(16, 8) * self.rng.random()
        loss = (self.net(x) - x.sum(1, keepdim=True)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with open(self.out / "losses", "a") as file:
            file.write(f"{self.step} {loss.item()!r}\n")
        self.step += 1

    def state(self) -> dict:
        return {
            "model": get_model_state_dict(self.net),
            "optimizer": get_optimizer_state_dict(self.net, self.optimizer),
            "at": {"step": self.step, "python": self.rng.getstate(), "torch": torch.get_rng_state()},
        }

    def resume(self) -> None:
        if self.checkpoints.latest() is None:
            return
        saved = self.checkpoints.load(lambda plain: self.state())
        set_model_state_dict(self.net, saved["model"])
        set_optimizer_state_dict(self.net, self.optimizer, saved["optimizer"])
        self.rng.setstate(saved["at"]["python"])
        torch.set_rng_state(saved["at"]["torch"])
        self.step = saved["at"]["step"]

    def go(self) -> None:
        """To the end, with a checkpoint after every step, so that one is being written nearly always."""
        self.resume()
        while self.step < STEPS:
            self.update()
            self.checkpoints.save(self.step, self.state())
        self.checkpoints.wait()


def in_a_process(work, *args):
    """A fork: it has the libraries already, which take longer to import than the run takes."""

    def alone():
        torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
        work(*args)

    process = multiprocessing.get_context("fork").Process(target=alone)
    process.start()
    return process


def losses(out):
    """Step to loss. Lines of steps that were made twice must agree; the last one may be cut."""
    told = {}
    for line in (out / "losses").read_text().splitlines():
        step, _, loss = line.partition(" ")
        if loss.count(".") == 1 and told.setdefault(int(step), loss) != loss:
            assert loss != "" and told[int(step)].startswith(loss), f"step {step} is not the same after a kill"
    return [float(told[i]) for i in range(STEPS)]


def whole(out):
    """No folder under a checkpoint's name lacks a file or a byte of one."""
    for folder in (out / "state").glob("step-*"):
        sizes = json.loads((folder / state.FILES).read_text())
        assert sizes and all((folder / name).stat().st_size == size for name, (size, _) in sizes.items())


def test_killed_at_twenty_moments_the_losses_are_those_of_an_uninterrupted_run(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    began = time.monotonic()
    straight = in_a_process(lambda: Run(tmp_path / "a").go())
    straight.join()
    pace, rng, drafts = (time.monotonic() - began) / STEPS, random.Random(1), 0
    for kill in range(20):
        process = in_a_process(lambda: Run(tmp_path / "b").go())
        process.join(timeout=rng.uniform(0, 5) * pace)
        while kill % 2 and process.is_alive() and not any((tmp_path / "b" / "state").glob(".step-*")):
            time.sleep(1e-4)  # every other kill waits for a save to begin
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL  # it had not come to its end
        drafts += any((tmp_path / "b" / "state").glob(".step-*"))
        whole(tmp_path / "b")
    assert drafts >= 5, "hardly a kill fell into a save"
    last = in_a_process(lambda: Run(tmp_path / "b").go())
    last.join()
    assert losses(tmp_path / "b") == losses(tmp_path / "a")
    assert [p.name for p in sorted((tmp_path / "b" / "state").iterdir())] == [f"step-{STEPS - 1}", f"step-{STEPS}"]


def killed_at(out, moment):
    """Die at the `moment`-th touch of the disk of the third checkpoint."""
    run, touched = Run(out), 0

    def dying(what):
        def touch(*args, **kwargs):
            nonlocal touched
            touched += run.step == 3
            if touched == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return what(*args, **kwargs)

        return touch

    state._sync = dying(state._sync)
    for name in ("rename", "mkdir", "write_text"):
        setattr(Path, name, dying(getattr(Path, name)))
    state.shutil.rmtree = dying(state.shutil.rmtree)
    for _ in range(3):
        run.update()
        run.checkpoints.save(run.step, run.state(), wait=True)


def test_killed_at_each_touch_of_the_disk_a_checkpoint_is_left(tmp_path):
    left, moment = [], 0
    while not left or left[-1] != "end":
        moment += 1
        out = tmp_path / str(moment)
        out.mkdir()
        process = in_a_process(killed_at, out, moment)
        process.join()
        whole(out)
        run = Run(out)
        run.resume()
        assert run.step in (2, 3)
        left.append("end" if process.exitcode == 0 else run.step)
    assert left.index(3) > 2 and left[: left.index(3)] == [2] * left.index(3) and 2 not in left[left.index(3) :]


def test_a_state_comes_back_as_it_was(tmp_path):
    nested = {
        "model": {"w": torch.randn(3, 2), "t": torch.randn(4, 3).T, "half": torch.ones(2, dtype=torch.bfloat16)},
        "list": [{"step": torch.tensor(3.0), 7: "int key"}, (1, 2.5, None)],
        "empty": {"none": torch.zeros(0, 2), "bits": torch.tensor([True, False])},
        "own": {"generator": torch.Generator().manual_seed(3).get_state(), "word": "x"},
    }
    checkpoints = Checkpoints(tmp_path / "state")
    assert checkpoints.latest() is None
    checkpoints.save(4, nested)
    weight, before = nested["model"]["w"], nested["model"]["w"].clone()
    weight.zero_()  # the copy was made when `save` came back
    checkpoints.wait()
    assert checkpoints.latest() == 4
    loaded = checkpoints.load(lambda plain: {"model": {"w": weight}})
    assert loaded["model"]["w"] is weight and torch.equal(weight, before)
    same = torch.testing.assert_close
    same(loaded["model"], nested["model"], rtol=0, atol=0)
    assert loaded["list"][1] == (1, 2.5, None) and loaded["list"][0][7] == "int key"
    assert loaded["list"][0]["step"] == 3 and loaded["empty"]["none"].shape == (0, 2)
    same(loaded["empty"]["bits"], nested["empty"]["bits"])
    assert loaded["own"]["word"] == "x" and torch.equal(loaded["own"]["generator"], nested["own"]["generator"])


def test_the_newest_are_kept_in_files_of_a_size(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "PART_BYTES", 1000)
    checkpoints = Checkpoints(tmp_path, keep=3)
    tensors = {str(i): torch.full((100,), i) for i in range(9)}
    for step in (1, 5, 20, 3000):
        checkpoints.save(step, tensors)
    checkpoints.wait()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-20", "step-3000", "step-5"]
    parts = [p.stat().st_size for p in (tmp_path / "step-20").glob("*.safetensors")]
    assert len(parts) == 10 and max(parts) < 3000
    assert all(torch.equal(t, checkpoints.load(lambda plain: tensors)[name]) for name, t in tensors.items())


def test_a_broken_checkpoint_gives_way_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        checkpoints.save(step, {"w": torch.tensor([step])}, wait=True)
    files = [next((tmp_path / f"step-{step}").glob("*.safetensors")) for step in (1, 2, 3)]
    files[2].write_bytes(files[2].read_bytes()[:-1])
    assert checkpoints.latest() == 2 and checkpoints.load(lambda plain: {})["w"] == 2
    files[1].write_bytes(b"x" * files[1].stat().st_size)  # as long as it was
    assert checkpoints.load(lambda plain: {})["w"] == 1
    files[0].unlink()
    with pytest.raises(
        DataError, match="every checkpoint in .* is broken .*is missing, cut or damaged.*delete the folder"
    ):
        checkpoints.load(lambda plain: {})
    for step in (1, 2):
        (tmp_path / f"step-{step}" / state.FILES).unlink()
    with pytest.raises(DataError, match="every checkpoint"):
        checkpoints.latest()


def test_a_checkpoint_of_another_model_is_told(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(DataError, match="there is none"):
        checkpoints.load(lambda plain: {})
    checkpoints.save(1, {"model": {"w": torch.ones(3)}}, wait=True)
    with pytest.raises(DataError, match="of another model .step 1: .*torch.Size..4"):
        checkpoints.load(lambda plain: {"model": {"w": torch.ones(4)}})
    with pytest.raises(DataError, match="it lacks /model/v"):
        checkpoints.load(lambda plain: {"model": {"v": torch.ones(3)}})


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    checkpoints = Checkpoints(tmp_path / "file" / "state")
    checkpoints.save(1, {"w": torch.ones(1)})
    with pytest.raises(DataError, match="cannot write a checkpoint"):
        checkpoints.wait()
    with pytest.raises(Exception, match="Unsupported|GLOBAL"):  # a bug of the caller, found before a restart needs it
        Checkpoints(tmp_path).save(1, {"path": Path("x")})
