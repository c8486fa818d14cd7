"""The command for one large GPU, on the CPU with tiny weights: what it measures, and what it does without time."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_parts
from benchmarks.gpu import PARTS, Part, Table, run_parts
from benchmarks.gpu_parts import SIZES, Bench, random_model
from benchmarks.report import Report, Row
from lavida.model.backend import Recorder
from lavida.model.vlm import VLM
from tests.model.test_backend import Tape

CPU = torch.device("cpu")
REPORT = Report(name="step", title="t", x="n", y="ms", rows=(Row(series="pass", x=8, values=(2.0,), ratios=(0.5,)),))


@pytest.fixture(autouse=True)
def two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_parts, "ROUNDS", 2)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    model = random_model("lavida-llada", "tiny", CPU)
    return Bench(model=model, sizes=SIZES["tiny"], device=CPU, out=tmp_path_factory.mktemp("gpu"), bandwidth=1e9)


def test_everything_is_measured_and_what_needs_a_gpu_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--device", "cpu", "--scale", "tiny", "--minutes", "3", "--out", str(tmp_path)]
    assert gpu.main(argv) == 0
    told = {part["name"]: part for part in json.loads((tmp_path / "gpu.json").read_text())["parts"]}
    assert list(told) == [part.name for part in PARTS if part.name != "official"]
    assert "CUDA graphs need a model on a GPU" in told.pop("graphs")["reason"]
    assert all(row["values"] for part in told.values() for row in part["rows"])
    page = (tmp_path / "gpu.md").read_text()
    assert page in capsys.readouterr().out + page and page.count("| engine | shared, ") == len(SIZES["tiny"].batches)
    assert "| graphs | failed: RequestError: CUDA graphs" in page and "- processor: " in page


def test_the_bound_is_the_time_of_reading_the_weights(bench: Bench) -> None:
    denoiser = bench.net.denoiser
    table = denoiser.table.nbytes
    assert gpu_parts.weight_bytes(bench.net) == sum(p.nbytes for p in denoiser.parameters()) - table
    rows = gpu_parts.step(bench, 1).rows
    for row in rows:
        assert row.ratios[0] == pytest.approx(row.facts["bound ms"] / row.values[0])
    assert {(row.series, row.x) for row in rows} == {(way, n) for way in ("pass", "step") for n in (8, 16)}


def test_graphs_replay_their_passes_and_leave_the_model_as_it_was(bench: Bench) -> None:
    tape, before = Tape(), bench.net.denoiser.forward

    def record(net: VLM) -> None:
        net.denoiser.forward = Recorder(net.denoiser.forward, capture=tape)  # type: ignore[method-assign]

    report = gpu_parts.graphs(replace(bench, record=record), 1)
    assert [row.name for row in report.rows] == ["eager, 8", "eager, 16", "graphs, 8", "graphs, 16"]
    assert tape.recorded >= 2 and tape.replayed > tape.recorded and bench.net.denoiser.forward == before


def parts_of(log: list[tuple[str, float]], clock: list[float], **lasting: float) -> list[Part]:
    def run(name: str, took: float, share: float) -> Report:
        log.append((name, share))
        clock[0] += took
        if name == "broken":
            raise RuntimeError("out of\nmemory | here")
        return replace(REPORT, name=name)

    return [Part(name=n, seconds=s, run=lambda _, share, n=n, s=s: run(n, s, share)) for n, s in lasting.items()]


def test_parts_get_their_share_and_are_skipped_or_fail_by_themselves(bench: Bench, tmp_path: Path) -> None:
    log: list[tuple[str, float]] = []
    clock, table = [0.0], Table(out=tmp_path, environment={"gpu": "none"})
    parts = parts_of(log, clock, first=10, broken=10, third=10, late=100, small=2)
    run_parts(parts, bench, table, end=34, scale=1.0, now=lambda: clock[0])
    assert log == [("first", 10), ("broken", 10), ("third", 10), ("small", 2)]
    lines = [line for line in table.markdown().splitlines() if "skipped" in line or "failed" in line]
    assert lines == [
        "| broken | failed: RuntimeError: out of memory / here | - | - |  |",
        "| late | skipped: 4 s are left, and it needs 30 | - | - |  |",
    ]
    log.clear()
    run_parts(parts[:1], bench, table, end=37, scale=0.5, now=lambda: clock[0])
    assert log == [("first", 5)]


def test_a_part_that_hangs_ends_with_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(gpu.os, "_exit", ended.append)
    monkeypatch.setattr(gpu, "RESERVE", 0.0)
    hang = Part(name="hang", seconds=1, run=lambda *_: time.sleep(1.5) or REPORT)  # type: ignore[func-returns-value]
    monkeypatch.setattr(gpu, "PARTS", (hang,))
    monkeypatch.setattr(gpu, "random_model", lambda *_: random_model("lavida-llada", "tiny", CPU))
    monkeypatch.setattr(gpu, "MINUTES", 1 / 60)
    gpu.main(["--device", "cpu", "--scale", "tiny", "--minutes", str(1 / 60), "--out", str(tmp_path)])
    assert ended == [1] and "| hang | stopped: the time is up |" in (tmp_path / "gpu.md").read_text()


def test_the_shares_fit_in_twelve_minutes() -> None:
    assert sum(part.seconds for part in PARTS) + gpu.BUILD + 2 * gpu.RESERVE <= 60 * gpu.MINUTES


def test_mistakes_are_told_in_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2 and "no GPU here" in capsys.readouterr().err
    assert gpu.main(["--device", "cpu", "--code", "x"]) == 2 and "--python" in capsys.readouterr().err


def test_the_official_code_is_run_beside(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> None:
        ran.append(command)
        out = Path(command[command.index("--out") + 1])
        (out / "official.json").write_text(json.dumps({**gpu.asdict(REPORT), "name": "official"}))

    monkeypatch.setattr(gpu_parts.subprocess, "run", run)
    report = gpu_parts.official(replace(bench, official={"code": "c", "python": "p", "model": "m"}), 60)
    assert report.name == "official" and ran[0][2:9] == [
        "benchmarks.official", "--code", "c", "--python", "p", "--model", "m"
    ]  # fmt: skip
