"""The papers' tables: every setting is one that the family takes, rows run, and what is not run is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavida.cli.main import main
from lavida.errors import RequestError
from lavida.eval.contest import Contest
from lavida.eval.items import Source
from lavida.eval.papers import PAPERS, contest_of, find_paper
from lavida.eval.tasks.table import TASKS
from tests.eval import sets

FAMILIES = {"papers/lavida": "lavida-llada", "papers/lavida-dream": "lavida-dream", "papers/llada-v": "llada-v"}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_row_is_a_setting_of_its_family(paper: str, random_folders: dict[str, Path], tmp_path: Path) -> None:
    base = Contest(
        task=TASKS["coco"], source=Source(data=tmp_path), out=tmp_path, model=str(random_folders[FAMILIES[paper]])
    )
    rows = find_paper(paper)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert bool(row.needs) != bool(row.published)
        if not row.needs:
            made = contest_of(row, tmp_path, base)  # checks the options
            assert made.options["length"] == made.options["block"] >= made.options.get("steps", 1)
            assert made.task.main in row.published and all(row.published.values())


def test_published_figures_are_those_of_the_papers() -> None:
    rows = {row.name: row for row in find_paper("papers/lavida")}
    assert rows["mmmu"].published["accuracy"]["LaViDa-L"] == 43.3 and rows["mmmu"].length == 16
    assert rows["mme"].published["cognition"]["LaViDa-D"] == 378.9
    assert rows["coco-cache-prefix-50"].published["seconds"] == {"LaViDa-L, A5000": 1.23}
    assert rows["coco-cache-prefix-50"].settings() == {
        "length": 32, "block": 32, "temperature": 0.0, "compat": "official", "steps": 16, "cache": "prefix",
        "schedule": "shift", "shift": 1 / 3,
    }  # fmt: skip
    assert rows["coco-shift-3-25"].published == {"cider": {"LaViDa-L": 48.7}}
    chart = next(row for row in find_paper("papers/llada-v") if row.name == "chartqa")
    assert (chart.until, chart.suffix, chart.strip_stop, chart.length) == (("\n",), " /no_think", True, 16)
    with pytest.raises(RequestError, match="did you mean papers/lavida?"):
        find_paper("papers/lavid")


def test_rows_run_and_the_others_are_told(
    random_folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mme", "ai2d"):
        sets.SETS[name](tmp_path / "data" / name)
    model = str(random_folders["llada-v"])
    argv = ["eval", "papers/llada-v", str(tmp_path / "data"), "--model", model, "--out", str(tmp_path), "--limit", "2"]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(find_paper("papers/llada-v"))
    assert sum(": not run: " in line for line in lines) == len(lines) - 2
    (mme,) = (line for line in lines if line.startswith("LLaDA-V, mme: perception "))
    assert mme.endswith("(published: LLaDA-V 1507)") and model in mme
    report = json.loads((tmp_path / "papers.json").read_text())
    (row,) = (row for row in report["rows"] if row["row"] == "mme")
    assert row["settings"]["steps"] == 2 and row["suffix"] == " /no_think" and row["questions"] == 2
    page = (tmp_path / "mme" / "report.html").read_text(encoding="utf-8")
    assert "<th>published</th>" in page and "LLaDA-V 1507" in page
    for more, message in (
        (["--steps", "3"], "each row of a paper has its own --steps; leave it out"),
        (["--row", "mmme"], "has no row 'mmme'; its rows are mmmu, ai2d"),
        (["--row", "mmmu"], "holds none of the benchmarks of papers/llada-v"),
    ):
        assert main([*argv, *more]) == 2
        assert message in capsys.readouterr().err
    assert main(["eval", "mme", str(tmp_path / "data" / "mme"), "--out", str(tmp_path), "--row", "mme"]) == 2
