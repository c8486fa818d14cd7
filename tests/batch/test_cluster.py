"""Batch jobs on Ray: the same lines as without it, whichever process is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.batch.clusters import two_nodes
from tests.batch.jobs import lines_of, write_folder, write_lines
from tests.batch.processes import below, is_alive, listening, ray_workers, wait

pytestmark = pytest.mark.slow  # Ray takes ten seconds to start

KILLS, INPUTS = 5, 24
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
CLI = ["--length", "6", "--steps", "3", "--temperature", "1"]
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")  # which look for their parent once a minute
WORKERS = ["--workers", "2", "--worker-cpus", "0.9"]  # one on each node of the cluster


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes on this machine, a CPU each, which listens on loopback alone."""
    pytest.importorskip("ray")
    with two_nodes() as address:
        yield address


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs, one of them broken, whose answers differ."""
    folder = tmp_path_factory.mktemp("requests")
    found = sorted(write_folder(folder / "photos", INPUTS).rglob("*.png"))
    records = [{"id": f"id {n}", "image": str(path), "options": {"seed": n}} for n, path in enumerate(found)]
    return write_lines(folder / "in.jsonl", [*records, b"a broken line"])


def started(model: Path, inputs: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "lavida.cli.main",
        "batch",
        str(inputs),
        str(out),
        "--model",
        str(model),
        *CLI,
        *more,
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finished(job: subprocess.Popen[str], code: int = 1) -> str:
    """Return what a job that ended has printed."""
    _, err = job.communicate(timeout=500)
    assert job.returncode == code, err
    return err


@pytest.fixture(scope="module")
def whole(tiny_folder: Path, requests: Path) -> list[dict[str, Any]]:
    """The lines without Ray."""
    finished(started(tiny_folder, requests, requests.with_name("whole.jsonl")))
    return lines_of(requests.with_name("whole.jsonl"))


def held(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def test_a_cluster_of_this_machine_gives_the_same_lines(
    tiny_folder: Path, requests: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    job = started(tiny_folder, requests, out, "--ray", "local", "--workers", "2", "--worker-cpus", "0.5")
    wait(lambda: held(out) or job.poll() is not None, "the first line")
    pids = set(below(job.pid))
    addresses = set(listening(pids | {job.pid}))
    err = finished(job)
    assert lines_of(out) == whole
    assert addresses and addresses <= LOOPBACK, "Ray listens to other machines"
    assert err.strip().splitlines()[-1] == f"{out}: {len(whole)} inputs, 1 of them failed; --retry asks these again"
    assert "Warning" not in err and "Traceback" not in err
    wait(lambda: not any(map(is_alive, pids)), "the end of Ray's processes", 60)


def test_a_killed_job_leaves_no_process_behind(tiny_folder: Path, requests: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    job = started(tiny_folder, requests, out, "--ray", "local", "--worker-cpus", "0.5")
    wait(lambda: held(out) or job.poll() is not None, "the first line")
    pids = {pid for pid, title in below(job.pid).items() if not title.startswith(AGENTS)}
    job.kill()
    job.wait()
    assert pids and held(out) < INPUTS
    wait(lambda: not any(map(is_alive, pids)), "the end of Ray's processes", 60)


def test_five_kills_lose_nothing_and_repeat_nothing(
    address: str, tiny_folder: Path, requests: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    out, rng = tmp_path / "out.jsonl", random.Random(0)
    for lines in sorted(rng.sample(range(INPUTS - 6), KILLS)):  # that are there when the job is killed
        job = started(tiny_folder, requests, out, "--ray", address, *WORKERS)
        wait(lambda least=lines, job=job: held(out) >= least or job.poll() is not None, "a job on the cluster")
        time.sleep(rng.uniform(0, 0.2) if lines else rng.uniform(0, 5))
        assert job.poll() is None, job.communicate()[1]
        job.send_signal(signal.SIGKILL)
        job.wait()
    finished(started(tiny_folder, requests, out, "--ray", address, *WORKERS))
    assert lines_of(out) == whole


def test_a_worker_that_is_killed_is_replaced(
    address: str, tiny_folder: Path, requests: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    job = started(tiny_folder, requests, out, "--ray", address, *WORKERS)
    wait(lambda: held(out) or job.poll() is not None, "the first line")
    for pid in ray_workers()[:1]:
        os.kill(pid, signal.SIGKILL)
    assert job.poll() is None
    finished(job)
    assert lines_of(out) == whole


def test_a_mistake_on_the_cluster_is_one_line(address: str, tiny_folder: Path, requests: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    job = started(tiny_folder, requests, out, "--ray", address, "--device", "cuda", "--worker-gpus", "0")
    err = finished(job, code=2)
    assert err.strip().splitlines()[-1].startswith("lavida: ") and "Traceback" not in err and "cuda" in err
