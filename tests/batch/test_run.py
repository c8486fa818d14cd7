"""Batch jobs over a tiny random model, and `lavida batch` itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import lavida
from lavida.batch.answers import _Flow, answer_entries
from lavida.batch.entries import Entry
from lavida.batch.inputs import open_inputs
from lavida.batch.job import Job
from lavida.batch.run import Prepared, prepare
from lavida.cli import batch as command
from lavida.cli.main import main
from lavida.engine import Engine
from lavida.errors import RequestError
from tests.batch.jobs import FEW, lines_of, picture, run, write_folder, write_lines, write_tar
from tests.pictures import BAD, gradient

SCHEMA = {
    "type": "object",
    "properties": {"seen": {"enum": ["cat", "dog"]}},
    "required": ["seen"],
    "additionalProperties": False,
}
CLI = ["--length", "6", "--steps", "3", "--temperature", "1"]


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> lavida.Model:
    return lavida.load(tiny_folder)


def call(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str]:
    code = main(["batch", *map(str, args)])
    out, err = capsys.readouterr()
    assert out == ""
    return code, err.strip()


def test_answers_are_those_of_ask(tiny_folder: Path, model: lavida.Model, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", 8)
    names = [entry.id for entry in open_inputs(str(folder), asked="?").entries(range(8))]
    records = [{"image": name, "question": f"Is it {n}?", "options": {"seed": n}} for n, name in enumerate(names)]
    path = write_lines(tmp_path / "in.jsonl", records)
    found = run(tiny_folder, path, tmp_path / "out.jsonl", images=str(folder))
    asked = [model.ask(folder / r["image"], r["question"], **{**FEW, **r["options"]}) for r in records]
    facts = ("text", "steps", "tokens_per_forward")
    assert [[line[f] for f in facts] for line in found] == [[getattr(answer, f) for f in facts] for answer in asked]
    assert len({line["text"] for line in found}) > 4 and [line["question"] for line in found] == [
        a.prompt for a in asked
    ]
    assert list(found[0]) == ["index", "id", "image", "question", "text", "steps", "tokens_per_forward", "error"]


def test_the_shipped_model_tells_pictures_apart_as_ask_does(tmp_path: Path) -> None:
    folder, mini = tmp_path / "photos", lavida.load()
    folder.mkdir()
    demo = Image.open(Path(lavida.__file__).parent / "assets" / "demo.jpg")
    for name, shown in {
        "cat.png": demo,
        "red.png": Image.new("RGB", (300, 200), "red"),
        "ramp.png": gradient(),
    }.items():
        shown.save(folder / name)
    found = run("lavida-mini", folder, tmp_path / "out.jsonl", options={"steps": 4}, question="What is this?")
    assert [line["text"] for line in found] == [
        mini.ask(folder / line["id"], "What is this?", steps=4).text for line in found
    ]
    assert len({line["text"] for line in found}) > 1


def test_every_kind_of_input_gives_the_same_answers(tiny_folder: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "photos", 3)
    names = [line["id"] for line in run(tiny_folder, folder, tmp_path / "0.jsonl")]
    data = {name: (folder / name).read_bytes() for name in names}
    made: list[Path] = [
        write_lines(tmp_path / "in.jsonl", [{"id": name, "image": f"photos/{name}"} for name in names]),
        write_tar(tmp_path / "in.tar", data),
    ]
    if arrow := pytest.importorskip("pyarrow"):
        table = arrow.Table.from_pylist([{"id": name, "image": {"bytes": data[name], "path": name}} for name in names])
        pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "in.parquet")
        made.append(tmp_path / "in.parquet")
    expected = lines_of(tmp_path / "0.jsonl")
    for number, path in enumerate(made, 1):
        assert run(tiny_folder, path, tmp_path / f"{number}.jsonl") == [
            {**line, "image": f"photos/{line['image']}" if number == 1 else line["image"]} for line in expected
        ]


def test_a_line_has_options_and_a_dialogue_of_its_own(tiny_folder: Path, model: lavida.Model, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(picture(ord(name)))
    talk = [
        {"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Where?"},
    ]  # fmt: skip
    records = [
        {"image": "a.png", "options": {"seed": 5, "steps": 2}},
        {"image": "a.png", "messages": talk},
        {"images": ["a.png", "b.png"], "question": "What differs?"},
        {"question": "No picture?"},
        {"image": "a.png", "options": {"schema": SCHEMA, "length": None}},
        {"image": "a.png", "options": {"step": 2}},
        {"image": "a.png", "options": {"steps": 99}},
    ]
    found = run(tiny_folder, write_lines(tmp_path / "in.jsonl", records), tmp_path / "out.jsonl", question="What?")
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    shown = [{"role": "user", "content": [{"type": "image", "image": str(a)}, "What?"]}, *talk[1:]]
    assert [line["text"] for line in found[:4]] == [
        model.ask(a, "What?", **{**FEW, "seed": 5, "steps": 2}).text,
        model.chat(shown, **FEW).text,
        model.ask([a, b], "What differs?", **FEW).text,
        model.ask(None, "No picture?", **FEW).text,
    ]
    assert found[1]["question"] == "Where?" and "object" not in found[0]
    assert "cannot hold the shortest text" in found[4]["error"] and found[4]["text"] is None
    assert "unknown option 'step'; did you mean steps?" in found[5]["error"] and "steps must be" in found[6]["error"]


def test_a_schema_gives_objects(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out, schema = write_folder(tmp_path / "photos", 3), tmp_path / "out.jsonl", tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    asked = (folder, out, "--model", tiny_folder, "--schema", schema, "--temperature", 1)
    assert call(capsys, *asked)[0] == 0
    found = lines_of(out)
    assert all(
        line["object"]["seen"] in ("cat", "dog") and json.loads(line["text"]) == line["object"] for line in found
    )
    schema.write_text(json.dumps({**SCHEMA, "title": "another"}))
    code, err = call(capsys, *asked)
    assert code == 2 and "--schema was" in err


def test_bad_pictures_are_lines_and_the_others_are_answered(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [{"id": name, "image": name} for name in BAD]
    for name, (make, _) in BAD.items():
        make(tmp_path / name)
    gradient().save(tmp_path / "good.png")
    path = write_lines(tmp_path / "in.jsonl", [{"image": "good.png"}, *records, b"{", {"image": "good.png"}])
    out = tmp_path / "out.jsonl"
    code, err = call(capsys, path, out, "--model", tiny_folder, *CLI)
    found = lines_of(out)
    assert (
        code == command.FAILED
        and err == f"{out}: {len(found)} inputs, {len(BAD) + 1} of them failed; --retry asks these again"
    )
    assert [line["error"] is None for line in found] == [True, *[False] * (len(BAD) + 1), True]
    for line, name in zip(found[1:], BAD):
        assert any(word in line["error"] for word in BAD[name][1].split("|")) and "\n" not in line["error"]
        assert line["id"] == name and line["text"] is line["steps"] is line["tokens_per_forward"] is None


def test_retry_answers_what_failed(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write_lines(tmp_path / "in.jsonl", [{"image": "a.png"}, {"image": "b.png"}]), tmp_path / "out.jsonl"
    (tmp_path / "a.png").write_bytes(picture(1))
    asked = (path, out, "--model", tiny_folder, *CLI)
    assert call(capsys, *asked)[0] == command.FAILED
    (tmp_path / "b.png").write_bytes(picture(2))
    assert call(capsys, *asked)[0] == command.FAILED and lines_of(out)[1]["error"]  # it has its line
    code, err = call(capsys, *asked, "--retry")
    assert code == 0 and err.splitlines() == [f"{out} holds 1 of 2 answers", f"{out}: 2 inputs"]
    assert [line["error"] for line in lines_of(out)] == [None, None]


def test_a_job_that_is_stopped_goes_on(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_folder(tmp_path / "photos", 6), tmp_path / "out.jsonl"
    whole = run(tiny_folder, folder, tmp_path / "whole.jsonl")
    with prepare(Job(model=str(tiny_folder), inputs=str(folder), out=out, options=FEW)) as prepared:
        lines = prepared.lines()
        assert [next(lines)["index"] for _ in range(2)]
        lines.close()
    with out.open("ab") as file:
        file.write(b'{"index": 5, "id"')
    before = len(out.read_bytes().splitlines()) - 1
    code, err = call(capsys, folder, out, "--model", tiny_folder, *CLI)
    assert code == 0 and err.splitlines()[0] == f"{out} holds {before} of 6 answers, a torn line of 17 bytes cut off"
    assert lines_of(out) == whole
    assert call(capsys, folder, out, "--model", tiny_folder, *CLI) == (
        0,
        f"{out} holds 6 of 6 answers\n{out}: 6 inputs",
    )


def test_an_interrupted_job_says_how_it_goes_on(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Prepared) -> Iterator[Any]:
        yield next(self._lines_here())
        raise KeyboardInterrupt

    monkeypatch.setattr(Prepared, "lines", interrupted)
    folder, out = write_folder(tmp_path / "photos", 2), tmp_path / "out.jsonl"
    code, err = call(capsys, folder, out, "--model", tiny_folder, *CLI)
    assert code == 130 and err.endswith("of 2 answers; the same command goes on")


def test_changed_settings_inputs_and_models_are_refused(
    tiny_folder: Path, random_folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_folder(tmp_path / "photos", 2), tmp_path / "out.jsonl"
    asked = (folder, out, "--model", tiny_folder, *CLI)
    assert call(capsys, *asked)[0] == 0
    before = out.read_bytes()
    for more, word in (("--seed 3", "--seed"), ("--question Why?", "--question"), ("--dtype bfloat16", "--dtype")):
        code, err = call(capsys, *asked, *more.split())
        assert code == 2 and f"{word} was" in err and len(err.splitlines()) == 1 and "--restart" in err
    code, err = call(capsys, folder, out, "--model", random_folders["lavida-llada"], *CLI)
    assert code == 2 and "the model was" in err
    (folder / "more.png").write_bytes(picture(3))
    code, err = call(capsys, *asked)
    assert code == 2 and "the input was" in err and "3 inputs" in err and out.read_bytes() == before
    assert call(capsys, *asked, "--restart")[0] == 0 and len(lines_of(out)) == 3
    assert call(capsys, *asked, "--threads", 1, "--most", 2, "--readers", 1)[0] == 0  # which change no line


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--steps", "0"], "steps must be"),
        (["--workers", "2"], "--workers goes with --ray; say --ray local"),
        (["--worker-cpus", "1"], "--worker-cpus goes with --ray"),
        (["--ray", "local", "--workers", "0"], "workers must be 1 to"),
        (["--most", "0"], "most must be 1 to"),
        (["--readers", "0"], "readers must be 1 to"),
        (["--question", " "], "the question is empty"),
        (["--images", "."], "--images goes with JSON lines"),
        (["--deadline", "1s"], "No such option"),
        (["--model", "nothing"], "unknown model"),
        (["--schema", "nothing.json"], "cannot read the schema"),
    ],
)
def test_a_mistake_is_one_line(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    folder, out = write_folder(tmp_path / "photos", 1), tmp_path / "out.jsonl"
    code, err = call(capsys, folder, out, "--model", tiny_folder, *more)
    assert code == 2 and words in err and len(err.splitlines()) == 1 and not out.exists()


def test_a_file_without_one_good_line_is_refused_at_once(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(tmp_path / "in.jsonl", [{"foto": "a.png"}] * 10)
    code, err = call(capsys, path, tmp_path / "out.jsonl", "--model", tiny_folder)
    assert code == 2 and "none of the first 10 inputs can be read" in err and "'foto'" in err
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_the_input_is_not_overwritten(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_lines(tmp_path / "in.jsonl", [{"image": "a.png"}])
    before = path.read_bytes()
    for more in ([], ["--restart"]):
        code, err = call(capsys, path, path, "--model", tiny_folder, *more)
        assert code == 2 and "is the input; write the answers elsewhere" in err and path.read_bytes() == before


def test_fields_that_are_passed_over_are_told(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a.json": b'{"caption": "a", "url": "b"}', "a.png": picture(1)}
    path = write_tar(tmp_path / "in.tar", files)
    code, err = call(capsys, path, tmp_path / "out.jsonl", "--model", tiny_folder, *CLI)
    assert code == 0 and err.splitlines()[0] == "not read of the tar input: caption, url"


def test_ray_that_is_missing_is_one_line(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_BACKEND_LOG_LEVEL"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    folder = write_folder(tmp_path / "photos", 1)
    code, err = call(capsys, folder, tmp_path / "out.jsonl", "--model", tiny_folder, "--ray", "127.0.0.1:1")
    assert (code, err) == (2, "lavida: --ray needs Ray: pip install 'lavida[ray]'")


def test_a_cluster_that_is_not_there_is_one_line(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.data")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_BACKEND_LOG_LEVEL"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    with socket.socket() as unheard:  # bound, and nobody listens
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        folder = write_folder(tmp_path / "photos", 1)
        code, err = call(capsys, folder, tmp_path / "out.jsonl", "--model", tiny_folder, "--ray", address)
    assert code == 2 and err.startswith(f"lavida: a Ray cluster at {address} cannot be joined (") and "\n" not in err


def test_memory_that_runs_out_stops_the_job(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = write_folder(tmp_path / "photos", 3), tmp_path / "out.jsonl"

    def full(*args: Any, **rest: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("lavida.decode.request.read_prompt", full)
    with pytest.raises(RequestError, match="memory ran out; run the same command with a smaller --most, it goes on"):
        run(tiny_folder, folder, out)
    assert out.read_bytes() == b""


def test_what_fails_within_is_a_line(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **rest: Any) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("lavida.decode.request.read_prompt", broken)
    found = run(tiny_folder, write_folder(tmp_path / "photos", 3), tmp_path / "out.jsonl")
    assert [line["error"] for line in found] == [
        "failed within lavida, please report it: ZeroDivisionError: a fault"
    ] * 3


def test_a_job_in_which_everything_fails_within_ends(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **rest: Any) -> None:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr("lavida.decode.request.read_prompt", broken)
    path = write_lines(tmp_path / "in.jsonl", [{"question": "What?"}] * 40)
    with pytest.raises(RequestError, match="16 inputs in a row failed within lavida.*the device is gone"):
        run(tiny_folder, path, tmp_path / "out.jsonl")
    assert len(lines_of(tmp_path / "out.jsonl")) == 15


def test_a_bounded_number_of_inputs_is_read_ahead(model: lavida.Model, tmp_path: Path) -> None:
    inputs = open_inputs(str(write_folder(tmp_path / "photos", 14)), asked="What?")
    read: list[int] = []

    def watched():  # noqa: ANN202
        for entry in inputs.entries(range(14)):
            read.append(entry.index)
            yield entry

    with Engine(model, most=1) as engine:
        for number, _ in enumerate(answer_entries(engine, watched(), FEW, readers=1), 1):
            assert len(read) <= number + 2 * 1 + 2  # those with the engine, and those being opened
    assert read == list(range(14))


def test_large_pictures_are_opened_one_by_one(
    model: lavida.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lavida.batch.answers._MOST_PIXELS", 1)
    most: list[int] = []
    ask = _Flow._ask
    monkeypatch.setattr(
        _Flow, "_ask", lambda self, *a: (most.append(len(self._asked) + len(self._opening)), ask(self, *a))[1]
    )
    inputs = open_inputs(str(write_folder(tmp_path / "photos", 4)), asked="What?")
    with Engine(model, most=4) as engine:
        assert len(list(answer_entries(engine, inputs.entries(range(4)), FEW))) == 4
    assert most == [0] * 4


def test_entries_with_an_error_need_no_engine(model: lavida.Model) -> None:
    entry = Entry(index=4, id="x", image="a.png", error="broken")
    (line,) = answer_entries(Engine(model), [entry], FEW)
    assert line["error"] == "broken" and line["id"] == "x" and line["text"] is None


def test_progress_lines_tell_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: clock[0])
    meter = command.Lines(1000, 200)
    for seconds, done in ((5, 210), (10, 220), (12, 230), (25, 250)):
        clock[0] = 100.0 + seconds
        meter.show(done, 3)
    assert capsys.readouterr().err.splitlines() == [
        "220 of 1000, 3 failed, 2.00/s, 6 min 30 s left",
        "250 of 1000, 3 failed, 2.00/s, 6 min 15 s left",
    ]
    assert [command.duration(s) for s in (4.4, 200, 18600)] == ["4 s", "3 min 20 s", "5 h 10 min"]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with command._progress(4, 1) as meter:
        assert isinstance(meter, command.Bar)
        meter.show(3, 1)
        meter._bar.refresh()
        assert (meter._bar.tasks[0].completed, meter._bar.tasks[0].fields["failed"]) == (3, 1)
