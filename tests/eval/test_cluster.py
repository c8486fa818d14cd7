"""Benchmarks on Ray: the same answers as without it, whichever process is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lavida.cli.main import main
from lavida.eval.answering import LavidaAnswerer
from tests.batch.clusters import FakeRay, two_nodes
from tests.batch.jobs import picture
from tests.batch.processes import ray_workers, wait
from tests.eval import baselines, sets

KILLS, QUESTIONS = 3, 24
FEW = ("--limit", 8)
SHORT = ["--length", "6", "--steps", "3", "--temperature", "1"]
TWO = ["--workers", "2", "--worker-cpus", "0.9"]  # one on each node of the cluster


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions about pictures, one of which is broken."""
    folder = tmp_path_factory.mktemp("set") / "a cat"
    folder.mkdir()
    for number in range(QUESTIONS):
        (folder / f"{number:02}.png").write_bytes(picture(number) if number != 5 else b"no picture")
    return folder.parent


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return baselines.save_llava_next(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return FakeRay(monkeypatch)


def arguments(data: Path, model: Path, out: Path, *more: object) -> list[str]:
    return ["eval", "own", str(data), "--model", str(model), "--out", str(out), *SHORT, *map(str, more)]


def answers(out: Path) -> dict[str, Any]:
    """What a run has written but for seconds, and but for the order of lines. Fails for a question answered twice."""
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = {"results": {**results, "models": {}}}
    for name, one in results["models"].items():
        found["results"]["models"][name] = {key: value for key, value in one.items() if key != "timing"}
    for path in sorted(out.glob("answers.*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        places = [line["index"] for line in lines]
        assert sorted(places) == list(range(results["questions"]))
        found[path.name] = sorted(([*line.items()] for line in lines), key=lambda line: line[0])
        for line in found[path.name]:
            del line[-2]  # the seconds
        found[path.name + ".job.json"] = json.loads(path.with_name(path.name + ".job.json").read_text())
    return found


def held(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("answers.*.jsonl"))


@pytest.fixture(scope="module")
def whole(data: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run without Ray writes."""
    out = tmp_path_factory.mktemp("whole")
    assert main(arguments(data, tiny_folder, out)) == 1  # for the broken picture
    return answers(out)


def test_workers_answer_as_one_process_does_for_both_models(
    fake: FakeRay, data: Path, tiny_folder: Path, baseline: Path, tmp_path: Path
) -> None:
    against = (*FEW, "--against", baseline)
    assert main(arguments(data, tiny_folder, tmp_path / "a", *against)) == 1 and fake.starts == 0
    assert main(arguments(data, tiny_folder, tmp_path / "b", *against, "--ray", "local", *TWO, "--worker-gpus", 2)) == 1
    assert answers(tmp_path / "b") == answers(tmp_path / "a")
    assert len([*(tmp_path / "b").glob("answers.*.jsonl")]) == fake.starts == 2
    assert (fake.asked["num_cpus"], fake.asked["num_gpus"]) == (0.9, 2)
    assert main(arguments(data, tiny_folder, tmp_path / "b", *against, "--ray", "local")) == 1
    assert fake.starts == 2  # nothing is left to answer


def test_likelihoods_come_back_from_workers(fake: FakeRay, tiny_folder: Path, tmp_path: Path) -> None:
    sets.pope(tmp_path / "set")
    argv = ["eval", "pope", str(tmp_path / "set"), "--model", str(tiny_folder), "--by", "likelihood", "--out"]
    for out, more in (("a", []), ("b", ["--ray", "local", "--workers", "2"])):
        assert main([*argv, str(tmp_path / out), *more]) == 0
    lines = [next((tmp_path / out).glob("answers.*.jsonl")).read_text().splitlines() for out in ("a", "b")]
    assert sorted(lines[0]) == sorted(lines[1]) and lines[0] != lines[1]


def test_a_run_whose_cluster_is_lost_goes_on_with_ray_or_without(
    fake: FakeRay, data: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ray"
    argv, ray = arguments(data, tiny_folder, out, *FEW), ("--ray", "local", "--workers", "2")
    assert main(arguments(data, tiny_folder, tmp_path / "whole", *FEW)) == 1  # for the broken picture
    whole = answers(tmp_path / "whole")
    capsys.readouterr()
    for dies in (3, 2):
        fake.dies = dies
        assert main([*argv, *ray]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines == ["lavida: the job failed on Ray (was lost); run it again to go on from here"]
    assert held(out) == 5 and not (out / "results.json").exists()
    fake.dies = None
    assert main([*argv, *ray, "--limit", "7"]) == 2  # other questions
    assert "begun as another job: the questions was" in capsys.readouterr().err
    assert main(argv) == 1 and fake.starts == 2
    assert answers(out) == whole
    for starts, more in ((3, "--retry"), (4, "--restart")):
        assert main([*argv, *ray, more]) == 1 and fake.starts == starts
        assert answers(out) == whole


@pytest.mark.parametrize(("most", "times"), [("1", 2), ("2", 0)])
def test_each_worker_is_warmed_up_where_seconds_are_measured(
    fake: FakeRay, data: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, times: int
) -> None:
    warmed = []
    monkeypatch.setattr(LavidaAnswerer, "warm_up", lambda self, item: warmed.append(item.id))
    argv = arguments(data, tiny_folder, tmp_path, "--limit", 4, "--most", most, "--ray", "local", "--workers", 2)
    assert main(argv) == 0 and len(warmed) == times
    lines = [json.loads(line) for line in next(tmp_path.glob("answers.*.jsonl")).read_text().splitlines()]
    assert len(lines) == 4 and all(line["seconds"] > 0 for line in lines)


def test_a_worker_that_sees_other_questions_ends_the_run(
    fake: FakeRay, data: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    digests = iter(("here", "there"))
    monkeypatch.setattr("lavida.eval.cluster.stamp", lambda items: next(digests))
    assert main(arguments(data, tiny_folder, tmp_path, "--ray", "local")) == 2
    line = "lavida: a worker sees other questions; give DATA by a path that all machines share"
    assert capsys.readouterr().err.splitlines() == [line] and held(tmp_path) == 0


def test_mistakes_about_ray_are_one_line(
    data: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeRay(monkeypatch)
    for more, line in (
        (["--workers", 2], "--workers goes with --ray; say --ray local, or leave it out"),
        (["--ray", "local", "--workers", 0], "workers must be 1 to 10000, got 0"),
    ):
        assert main(arguments(data, tiny_folder, tmp_path / "out", *more)) == 2
        assert capsys.readouterr().err == f"lavida: {line}\n" and not (tmp_path / "out").exists()
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")  # as torchrun sets it
        assert main(arguments(data, tiny_folder, tmp_path / "out", "--ray", "local")) == 2
    line = "lavida: --ray and torchrun both share the questions; start the command without torchrun\n"
    assert capsys.readouterr().err == line and not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(arguments(data, tiny_folder, tmp_path / "out", "--ray", "local")) == 2
    assert capsys.readouterr().err == "lavida: --ray needs Ray: pip install 'lavida[ray]'\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes on this machine, a CPU each."""
    pytest.importorskip("ray")
    with two_nodes() as address:
        yield address


def started(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "lavida.cli.main", *argv], stderr=subprocess.PIPE, text=True)


def finished(run: subprocess.Popen[str], code: int = 1) -> str:
    """Return what a run that ended has printed."""
    _, err = run.communicate(timeout=500)
    assert run.returncode == code, err
    return err


@pytest.mark.slow
def test_a_cluster_of_this_machine_gives_the_same_answers_for_both_models(
    data: Path, tiny_folder: Path, baseline: Path, tmp_path: Path
) -> None:
    finished(started(arguments(data, tiny_folder, tmp_path / "a", "--against", baseline)))
    ray = ("--ray", "local", "--workers", 2, "--worker-cpus", 0.5)
    err = finished(started(arguments(data, tiny_folder, tmp_path / "b", "--against", baseline, *ray)))
    assert answers(tmp_path / "b") == answers(tmp_path / "a")
    assert "Warning" not in err and "Traceback" not in err


@pytest.mark.slow
def test_kills_lose_nothing_and_repeat_nothing(
    address: str, data: Path, tiny_folder: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    argv = arguments(data, tiny_folder, tmp_path, "--ray", address, *TWO)
    for kill in range(KILLS):
        least = held(tmp_path) + 3 * (kill > 0)  # lines that are there when the run is killed
        run = started(argv)
        wait(lambda least=least, run=run: held(tmp_path) >= least or run.poll() is not None, "a run on the cluster")
        time.sleep(0 if least else 3)
        assert run.poll() is None, run.communicate()[1]
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert 0 < held(tmp_path) < QUESTIONS
    finished(started(argv))
    assert answers(tmp_path) == whole


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(
    address: str, data: Path, tiny_folder: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    run = started(arguments(data, tiny_folder, tmp_path, "--ray", address, *TWO))
    wait(lambda: held(tmp_path) or run.poll() is not None, "the first line")
    (killed, *_) = ray_workers()
    os.kill(killed, signal.SIGKILL)
    assert run.poll() is None
    finished(run)
    assert answers(tmp_path) == whole


@pytest.mark.slow
def test_a_mistake_on_the_cluster_is_one_line(address: str, data: Path, tiny_folder: Path, tmp_path: Path) -> None:
    more = ("--ray", address, "--device", "cuda", "--worker-gpus", 0)
    err = finished(started(arguments(data, tiny_folder, tmp_path, *more)), code=2)
    line = err.strip().splitlines()[-1]
    assert line.startswith("lavida: ") and "cuda" in line and "Traceback" not in err
