"""docs/evaluation.md says what is there: every task with its length, and commands whose options exist."""

from __future__ import annotations

import re
from pathlib import Path

from lavida.cli.main import main
from lavida.eval.papers import PAPERS
from lavida.eval.tasks.table import TASKS
from tests.eval.test_witness import SEEN

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_the_table_lists_every_task_with_its_length() -> None:
    rows = {cells[1]: cells for line in PAGE.splitlines() if len(cells := [c.strip() for c in line.split("|")]) == 7}
    assert {name for name in rows if name in TASKS} == set(TASKS)
    for name, task in TASKS.items():
        assert rows[name][4] == str(task.length), name


def test_papers_and_versions_are_named() -> None:
    assert all(paper in PAGE for paper in PAPERS)
    assert f"lmms-eval {SEEN['of']['lmms-eval']}" in PAGE and f"pycocoevalcap {SEEN['of']['pycocoevalcap']}" in PAGE


def test_options_on_the_page_exist(capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["eval", "--help"]) == 0
    known = capsys.readouterr().out
    commands = re.findall(r"^lavida eval .*", PAGE, re.MULTILINE) + ["--images --split --row --limit --retry --restart"]
    used = {option for command in commands for option in re.findall(r"--[a-z-]+", command)}
    assert used and all(option in known for option in used)
