"""The page of a run: what the log holds is on it, whatever happened to the run; nothing is fetched from elsewhere."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image

from lavida.cli.main import main
from lavida.errors import DataError
from lavida.train.charts import Curve, chart, number, thinned
from lavida.train.report import History, read_history, write_report


def step(at: int, stage: str = "finetune", loss: float = 1.0, **more) -> dict:
    return {
        "event": "step",
        "step": at,
        "stage": stage,
        "loss": loss,
        "lr": {"projector": 1e-3},
        "samples": 4 * at,
    } | more


def captions(at: int, answer: str, image: str = "cat.png") -> dict:
    told = {"image": image, "prompt": "What is <this>?", "truth": "a cat", "answer": answer}
    return {"event": "eval", "step": at, "loss": 0.5 / at, "right": at / 100, "captions": [told]}


def write(run: Path, events: list[dict], end: str = "\n") -> Path:
    run.mkdir(exist_ok=True)
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, events)) + end)
    return run


def test_lines_of_a_killed_process_are_passed_over(tmp_path: Path) -> None:
    run = write(
        tmp_path / "run", [step(1), step(2)], end='\n{"event": "step", "st{"event": "start"}\n[1]\n{"event": "st'
    )
    assert [e["step"] for e in read_history(run).steps] == [1, 2]


def test_curves_lead_into_lists_and_leave_out_what_is_no_number() -> None:
    history = History()
    for at, value in enumerate((1.5, None, float("nan"), True, "x", 2), 1):
        history.add(step(at, buckets=[0.0, value], lr={"tower": value}))
    history.add(step(9))
    assert history.curve("buckets", 1) == history.curve("lr", "tower") == [(1, 1.5), (6, 2.0)]
    assert history.curve("buckets", 2) == history.curve("nothing") == []


def test_how_a_run_ended_is_known_until_it_goes_on() -> None:
    history = History()
    for event in ({"event": "start"}, step(5), {"event": "stop", "reason": "time"}):
        history.add(event)
    assert history.end["reason"] == "time" and len(history.starts) == 1
    history.add({"event": "start"})
    assert history.end is None and len(history.starts) == 2


def test_stages_are_told_by_their_name() -> None:
    history = History()
    for at, stage in ((5, "align"), (10, "align"), (15, "finetune")):
        history.add(step(at, stage))
    assert [(s.name, s.start, s.end) for s in history.stages()] == [("align", 5, 10), ("finetune", 15, 15)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    Image.new("RGB", (600, 400), "red").save(tmp_path / "cat.png")
    events: list[dict] = [{"event": "start", "seed": 7, "model": "<mini>"}]
    for at in range(10, 1010, 10):
        buckets = [None, 0.1 + at / 1000, 2.0]
        events.append(
            step(at, "align" if at <= 300 else "finetune", 5 / at, buckets=buckets, samples_per_s=3.0, ground=0.7)
        )
        if at % 500 == 0:
            events += [captions(at, f"answer {at}", "../cat.png"), captions(at + 1, "lost", "gone.png")]
    events += [{"event": "skipped", "name": "photos.json:17", "reason": "17.jpg: no such file & more"}]
    return write(tmp_path / "run", [*events, {"event": "stop", "reason": "broken", "names": ["bad.json:3"]}])


def test_the_page_holds_all_and_fetches_nothing(run: Path) -> None:
    page = write_report(run).read_text()
    for words in (
        "answer 500", "answer 1000", "earlier answers", "What is &lt;this&gt;?", "truth: a cat",
        "gone.png: no such file", "photos.json:17", "17.jpg: no such file &amp; more",
        "broke at step 1,000, in the batch of bad.json:3", "&lt;mini&gt;", "Learning rate",
        "33 to 66 % masked", "align", "finetune", ">ground<", ">right<", "held-out loss",
    ):  # fmt: skip
        assert words in page, words
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert not re.search(r'(?:src|href)="(?!data:)|url\(|@import|<script', page)
    charts = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(charts) >= 6
    for svg in charts:
        ElementTree.fromstring(svg)


def test_several_pictures_and_none(tmp_path: Path) -> None:
    for name in ("a.png", "b, c.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    events = [step(1), captions(1, "two", "a.png, gone.png"), captions(2, "comma", "b, c.png"), captions(3, "none", "")]
    page = write_report(write(tmp_path, events)).read_text()
    assert re.findall(r'<img alt="([^"]*)"', page) == ["a.png", "b, c.png"]
    assert page.count("no such file") == 1 and all(f"<b>{answer}</b>" in page for answer in ("two", "comma", "none"))


def test_a_run_of_one_line_has_a_page(tmp_path: Path) -> None:
    page = write_report(write(tmp_path / "run", [step(1)]), tmp_path / "new" / "page.html").read_text()
    assert "running still, or killed" in page and page.count("<svg") == 2
    assert "Skipped" not in page and "Held-out captions" not in page


def test_the_command_tells_where_the_page_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "report", str(run)]) == 0
    assert Path(capsys.readouterr().out.strip()).read_text().startswith("<!doctype html>")


def test_folders_without_a_log_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="no log.jsonl in .*; give the folder"):
        write_report(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        write_report(tmp_path / "file")
    with pytest.raises(DataError, match="holds no step yet"):
        write_report(write(tmp_path / "run", [{"event": "start"}]))
    assert main(["train", "report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_thinning_keeps_the_mean_and_the_span() -> None:
    points = [(float(i), float(i % 7)) for i in range(700)]
    few = thinned(points, 50)
    assert len(few) == 50 and sum(y for _, y in few) / 50 == pytest.approx(3.0, abs=0.01)
    assert few[0][0] < 14 and few[-1][0] > 685 and thinned(points[:50], 50) == points[:50]


@pytest.mark.parametrize(
    ("values", "from_zero", "labels", "middle"),
    [
        ((0.1, 1.0, 10.0), False, ["0.1", "0.316", "1", "3.16", "10"], 145),  # logarithmic
        ((2.0, 4.0, 6.0), False, ["2", "3", "4", "5", "6"], 145),
        ((2.0, 4.0, 8.0), True, ["0", "2", "4", "6", "8"], 145),
    ],
)
def test_axes_are_labelled_from_the_lowest_to_the_highest_value(values, from_zero, labels, middle) -> None:
    svg = chart("t", [Curve("c", [(float(i), y) for i, y in enumerate(values)])], from_zero=from_zero)
    assert re.findall(r'text-anchor="end">([^<]*)<', svg) == labels
    heights = [float(pair.split(",")[1]) for pair in re.search(r'points="([^"]*)"', svg)[1].split()]
    assert heights[1] == pytest.approx(middle) and heights[2] == 24 and heights[0] == (205.5 if from_zero else 266)


@pytest.mark.parametrize(
    "points",
    [[(1.0, 2.0)], [(1.0, 0.0), (2.0, 0.0)], [(0.0, -1.0), (1.0, 1e-9)], [(0.0, 0.0), (1.0, 1e-9), (2.0, 5.0)]],
)
def test_any_curve_is_drawn_within_the_picture(points) -> None:
    svg = re.search(r"<svg.*?</svg>", chart("t", [Curve(label="c", points=points)]), flags=re.DOTALL)[0]
    drawn = re.search(r'points="([^"]*)"', svg)[1]
    for pair in drawn.split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= 880 and 0 <= y <= 300
    assert chart("t", [Curve(label="c", points=[])]) == ""


def test_points_of_a_short_curve_are_marked() -> None:
    short, long = ([Curve(label="c", points=[(float(i), 1.0 + i) for i in range(n)])] for n in (1, 40))
    assert '<g class="few"' in chart("t", short) and "few" not in chart("t", long)


def test_numbers_are_short() -> None:
    told = [number(v) for v in (0, 3, 0.71834, 12.3456, 1234567, 2e-5, 0.5, 100.4)]
    assert told == ["0", "3", "0.718", "12.3", "1,234,567", "2e-05", "0.5", "100"]
