"""The table of ablations: spread over seeds, differences seed by seed, runs of one setting only."""

from __future__ import annotations

import runpy
from argparse import Namespace
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "ablations.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def run(objective: str, seed: int, mean: float) -> dict:
    shares = {"mean": mean, "name": 0.5, "count": 0.4, "presence": 0.3, "cider": 1.0}
    return {"objective": objective, "seed": seed, "seconds": 90, "figures": {"i": shares, "ii_style": dict(shares)}}


def test_differences_are_taken_seed_by_seed(script):
    runs = [run("default", 0, 0.5), run("default", 1, 0.7), run("full", 0, 0.4), run("full", 1, 0.6), run("ar", 5, 0.9)]
    del runs[-1]["figures"]["i"]["cider"]
    head, _, default, full, ar = (line.strip("| ").split(" | ") for line in script["table"](runs).splitlines())
    assert head[0] == "objective" and default[:3] == ["default", "2", "0.600 ± 0.141"] and default[-1] == "1.5"
    assert full[2] == "0.500 ± 0.141" and full[-2] == "-0.100 ± 0.000"
    assert ar[1:3] == ["1", "0.900"] and len(ar) == len(head) and ar[8] == "-" and ar[-2] == "-"


def test_runs_of_another_setting_are_not_mixed_in(script, tmp_path):
    setting = {"steps": 5, "rows": 1, "scenes": 1, "held_out": 1, "start": "lavida-mini", "out": tmp_path}
    for _ in range(2):
        script["keep_setting"](Namespace(**setting))
    with pytest.raises(SystemExit, match="give another --out"):
        script["keep_setting"](Namespace(**setting | {"steps": 6}))
