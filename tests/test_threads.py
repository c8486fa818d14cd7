"""Check how many threads are chosen and how they wait, with faked affinity, quotas and load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lavida import threads
from lavida.errors import RequestError

BIG = threads.SMALL_WEIGHTS


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Eight idle cores without a quota, and passive waiting; /proc and the cgroups lie in the folder."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setattr(threads, "_affinity", lambda: set(range(8)))
    monkeypatch.setattr(threads, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(threads, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(threads, "busy_cores", lambda: 0.0)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    return tmp_path


def environment_after(code: str, **variables: str) -> list[str]:
    """Run code in a process without OpenMP's variables but these; the words that it prints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**plain, **variables}
    )
    return done.stdout.split()


def test_one_thread_for_a_small_model(machine: Path) -> None:
    assert threads.choose_threads(BIG - 1) == 1
    assert threads.choose_threads(BIG) == 8


@pytest.mark.parametrize(("busy", "number"), [(0.2, 8), (3.0, 5), (7.9, 1), (12.0, 1)])
def test_other_processes_keep_their_cores(
    machine: Path, busy: float, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "busy_cores", lambda: busy)
    assert threads.choose_threads(BIG) == number


def test_a_core_stays_free_where_threads_spin(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert threads.choose_threads(BIG) == 7


def test_the_number_in_the_environment_is_an_upper_limit(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads.choose_threads(BIG) == 3


@pytest.mark.parametrize(("text", "number"), [("250000 100000", 3), ("50000 100000", 1), ("max 100000", 8)])
def test_a_quota_of_cgroups_version_2_counts(machine: Path, text: str, number: int) -> None:
    (machine / "proc/self/cgroup").write_text("0::/outer/inner\n")
    (machine / "cgroup/outer/inner").mkdir(parents=True)
    (machine / "cgroup/outer/cpu.max").write_text(text + "\n")  # a quota of a folder above holds below
    (machine / "cgroup/outer/inner/cpu.max").write_text("max 100000\n")
    assert threads.choose_threads(BIG) == number


@pytest.mark.parametrize(("quota", "number"), [("200000", 2), ("-1", 8)])
def test_a_quota_of_cgroups_version_1_counts(machine: Path, quota: str, number: int) -> None:
    (machine / "proc/self/cgroup").write_text("5:memory:/job\n3:cpu,cpuacct:/job\n")
    folder = machine / "cgroup/cpu,cpuacct/job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert threads.choose_threads(BIG) == number


def test_the_load_of_others_is_measured_on_the_usable_cores(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(threads, "_affinity", lambda: {0, 1})
    monkeypatch.setattr(threads, "_PROC", machine / "proc")
    stat, tick = machine / "proc" / "stat", os.sysconf("SC_CLK_TCK")

    def write(busy: int) -> None:
        lines = [f"cpu{core} {busy} 0 0 1000 0 0 0 0 0 0" for core in range(3)]  # core 2 is not ours
        stat.write_text("\n".join(["cpu 1 1 1 1 1 1 1 1 1 1", *lines]))

    write(100)
    monkeypatch.setattr(threads.time, "sleep", lambda seconds: write(100 + tick))  # a second's work a core at once
    monkeypatch.setattr(threads.time, "perf_counter", iter([0.0, 1.0]).__next__)
    assert threads.busy_cores(1.0) == pytest.approx(2.0, abs=0.05)
    stat.unlink()
    assert threads.busy_cores(0) == 0.0


@pytest.mark.parametrize("text", ["0", "-1", "1025", "many", "1.5", 2.0, True, None])
def test_a_bad_number_is_refused(text: object) -> None:
    with pytest.raises(RequestError, match="threads must be"):
        threads.parse_threads(text)


def test_passive_waiting_is_set_before_pytorch_and_kept_from_the_user() -> None:
    code = "import os, lavida.threads as t; print(t.wait_passively(), os.environ.get('OMP_WAIT_POLICY'))"
    assert environment_after(code) == ["True", "PASSIVE"]
    assert environment_after(code, OMP_WAIT_POLICY="active") == ["False", "active"]
    assert environment_after(code, GOMP_SPINCOUNT="100") == ["True", "None"]
    assert environment_after(f"import torch; {code}") == ["False", "None"]


def test_importing_the_package_changes_nothing_of_the_process() -> None:
    code = "import os; before = dict(os.environ); import lavida, lavida.api; print(dict(os.environ) == before)"
    assert environment_after(code) == ["True"]


def test_the_command_line_waits_passively() -> None:
    code = "import os; from lavida.cli.main import main; main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"
    assert environment_after(code)[-1] == "PASSIVE"


def test_a_small_model_is_loaded_with_one_thread(tiny_folder: Path) -> None:
    code = (
        "import torch; torch.set_num_threads(2); import lavida; "
        f"lavida.load({str(tiny_folder)!r}, threads='auto'); print(torch.get_num_threads())"
    )
    assert environment_after(code) == ["1"]
