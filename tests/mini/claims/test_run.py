"""The command: what is kept is not measured again, mistakes are one line, and the page says what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lavida.errors import DataError, RequestError
from mini.__main__ import main
from mini.claims.claims import CLAIMS, Claim
from mini.claims.page import QUICK, as_page, number, table
from mini.claims.result import NotMeasuredError, Result, Table, check
from mini.claims.run import chosen, run
from mini.claims.setting import Setting

ROOT = Path(__file__).parents[3]


class Measured:
    """Claims of a fake that counts how often each is measured."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.value = 1.0
        texts = {"says": "It is better.", "source": "a paper", "published": "+1", "needs_data": False}
        self.claims = {
            "C1": Claim(title="First", measure=lambda setting: self.measure("C1"), **texts),
            "C2": Claim(title="Second", measure=self.fail, **texts),
            "C3": Claim(title="Third", measure=None, why="no way", **texts),
            "C4": Claim(title="Fourth", measure=lambda setting: self.measure("C4"), **{**texts, "needs_data": True}),
        }

    def measure(self, name: str) -> Result:
        self.calls.append(name)
        tables = (Table(head=("a", "b"), rows=(("c", 0.25),)),)
        return Result(claim=name, measured="Two.", checks=(check("x", [[self.value] * 2] * 2),), tables=tables)

    def fail(self, setting: Setting) -> Result:
        self.calls.append("C2")
        raise NotMeasuredError("needs what is not there")


@pytest.fixture
def measured() -> Measured:
    return Measured()


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(data=tmp_path / "data", runs=tmp_path / "runs", seeds=2)


def go(setting: Setting, measured: Measured, **rest: Any) -> dict[str, Result]:
    return run(setting, setting.runs.parent / "out", claims=measured.claims, log=lambda line: None, **rest)


def test_a_finished_claim_is_not_measured_again(setting: Setting, measured: Measured) -> None:
    first = go(setting, measured, only="C1")
    assert measured.calls == ["C1"] and json.loads((setting.runs / "C1.json").read_text())["verdict"] == "holds"
    assert go(setting, measured, only="c1") == first and measured.calls == ["C1"]
    go(setting, measured, only="C1,C2")
    assert measured.calls == ["C1", "C2"]
    measured.value = -1.0
    assert go(setting, measured, only="C1", again=True)["C1"].verdict == "does not hold here"
    assert not list(setting.runs.glob("*.draft"))


def test_a_claim_that_cannot_be_measured_is_named_and_tried_again(setting: Setting, measured: Measured) -> None:
    go(setting, measured, only="C2")
    page = (setting.runs.parent / "out" / "claims.md").read_text(encoding="utf-8")
    assert "| C2. Second | +1 | needs what is not there | 0 | not measured |" in page
    assert "| C3. Third | +1 | no way | 0 | not measured |" in page and not (setting.runs / "C2.json").exists()
    go(setting, measured, only="C2")
    assert measured.calls == ["C2", "C2"]


def test_another_setting_is_refused(setting: Setting, measured: Measured) -> None:
    go(setting, measured, only="C1")
    with pytest.raises(RequestError, match=r"C1.json was measured with other seeds \(2, now 3\); give --again"):
        go(replace(setting, seeds=3), measured, only="C1")
    assert measured.calls == ["C1"]


def test_nothing_is_measured_without_the_data_that_a_later_claim_needs(setting: Setting, measured: Measured) -> None:
    with pytest.raises(DataError, match="python -m mini build"):
        go(setting, measured, only="C1,C4")
    assert measured.calls == []


def test_claims_are_chosen_by_name() -> None:
    assert chosen(None) == list(CLAIMS) == [f"C{i}" for i in range(1, 12)]
    assert chosen(" c4,C1 ") == ["C1", "C4"]
    with pytest.raises(RequestError, match="unknown claim 'C12'; choose from C1, C2"):
        chosen("C1,C12")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("claims --only C99", "unknown claim 'C99'; choose from C1"),
        ("claims --seeds 0", "'--seeds'"),
        ("claims --data nowhere --only C3", "python -m mini build"),
        ("claims --model nowhere --only C9", "nowhere"),
        ("claims --fast", "No such option: --fast"),
    ],
)
def test_mistakes_are_one_line(
    argv: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("mini: ") and err.count("\n") == 1 and words in err, err
    assert not list(tmp_path.iterdir())


def test_the_page_holds_figures_rule_and_what_was_not_measured(measured: Measured) -> None:
    results = {"C1": measured.measure("C1")}
    page = as_page(results, measured.claims, quick=True, reasons={}, drawn=set())
    assert QUICK in page and "python -m mini claims --quick" in page and "![" not in page
    assert "| C1. First | +1 | x: 1.000 (yes) | 4 | **holds** |" in page
    assert "| C2. Second | +1 | not run | 0 | not measured |" in page
    assert "## C1. First: holds\n\n> It is better.\n>\n> a paper: +1." in page
    assert "| x (> 0.000) | - | 1.000 | 1.000 to 1.000 | 1.000 | 1.000 | 4 | yes |" in page and "| c | 0.250 |" in page
    assert QUICK not in as_page(results, measured.claims, quick=False, reasons={}, drawn=set())


def test_numbers_and_cells() -> None:
    assert [number(v) for v in (None, float("nan"), 3, 0.12345, 12.345, 12345.6)] == "- - 3 0.123 12.3 12346".split()
    assert table(("a",), [("x|y",)]) == "| a |\n| --- |\n| x/y |"


def test_the_committed_page_is_what_its_json_gives() -> None:
    docs = ROOT / "docs"
    data = json.loads((docs / "claims.json").read_text(encoding="utf-8"))
    results = {one["claim"]: Result.from_json(one) for one in data["results"]}
    drawn = {path.stem for path in (docs / "claims").glob("*.svg")}
    page = as_page(results, CLAIMS, quick=data["quick"], reasons=data["reasons"], drawn=drawn)
    assert page == (docs / "claims.md").read_text(encoding="utf-8") and not data["quick"]
    assert [one["verdict"] for one in data["results"]] == [one.verdict for one in results.values()]
    assert drawn == {chart.name for one in results.values() for chart in one.charts}
