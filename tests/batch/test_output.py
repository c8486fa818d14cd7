"""The output of a batch job: whole lines, each once, whatever happened to the process that wrote them."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lavida.batch.output import Marks, Output
from lavida.errors import RequestError
from tests.batch.jobs import lines_of

SETTINGS = {"the input": "folder, 9 inputs", "--question": "What?", "--steps": 4}
COUNT = 9


def line(place: int, error: str | None = None) -> dict[str, Any]:
    return {"index": place, "id": f"é {place}", "text": "x" * place, "error": error}


def begun(path: Path, places: range | list[int], *, failed: tuple[int, ...] = (), **rest: bool) -> Output:
    with Output(path, SETTINGS, COUNT, **rest) as output:
        for place in places:
            assert output.append(line(place, "bad" if place in failed else None))
    return output


def test_marks_are_counted_once() -> None:
    marks = Marks(19)
    for place in (0, 7, 8, 18, 7):
        marks.add(place)
    assert marks.marked == 4 and 8 in marks and 9 not in marks
    assert list(marks.missing()) == [n for n in range(19) if n not in (0, 7, 8, 18)]


def test_a_job_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, [3, 0])
    with Output(out, SETTINGS, COUNT) as output:
        assert list(output.done.missing()) == [1, 2, 4, 5, 6, 7, 8] and output.cut == 0
        assert not output.append(line(3))  # it has its line
        assert output.append(line(5, "bad")) and output.failed == 1
    assert [found["index"] for found in lines_of(out)] == [0, 3, 5]
    assert lines_of(out)[0]["id"] == "é 0" and json.loads((tmp_path / "out.jsonl.job.json").read_text()) == SETTINGS


def test_a_torn_line_is_cut_off_wherever_it_tears(tmp_path: Path) -> None:
    out, rng = tmp_path / "out.jsonl", random.Random(0)
    begun(out, range(5))
    whole = out.read_bytes()
    ends = [0, *(at + 1 for at, byte in enumerate(whole) if byte == 10)]
    for size in {*rng.sample(range(len(whole)), 40), *ends, *(end - 1 for end in ends[1:]), 1}:
        out.write_bytes(whole[:size])
        with Output(out, SETTINGS, COUNT) as output:
            kept = max(end for end in ends if end <= size)
            assert out.stat().st_size == kept and output.cut == size - kept
            for place in output.done.missing():
                output.append(line(place))
        assert [found["index"] for found in lines_of(out)] == list(range(COUNT))


def test_zeros_that_a_power_cut_leaves_are_cut_off(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, range(3))
    with out.open("ab") as file:
        file.write(b"\0" * 100)
    with Output(out, SETTINGS, COUNT) as output:
        assert output.cut == 100 and output.done.marked == 3


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({**SETTINGS, "--steps": 8}, "--steps was 4 and is 8"),
        ({**SETTINGS, "--length": 8}, "--length was not given and is 8"),
        ({k: v for k, v in SETTINGS.items() if k != "--steps"}, "--steps was 4 and is not given"),
        ({**SETTINGS, "the input": "tar, 9 inputs"}, 'the input was "folder, 9 inputs" and is "tar, 9 inputs"'),
    ],
)
def test_another_job_is_refused_and_restart_begins_anew(tmp_path: Path, now: dict[str, Any], words: str) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, [1])
    before = out.read_bytes()
    with pytest.raises(RequestError, match="begun as another job") as refused:
        Output(out, now, COUNT)
    assert words in str(refused.value) and "\n" not in str(refused.value) and out.read_bytes() == before
    with Output(out, now, COUNT, restart=True) as output:
        assert output.done.marked == 0 and out.read_bytes() == b""
    with Output(out, now, COUNT):
        pass


def test_settings_may_change_while_there_are_no_lines(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, [])
    with Output(out, {"--steps": 1}, COUNT) as output:
        output.append(line(0))
    with Output(out, {"--steps": 1}, COUNT) as output:
        assert output.done.marked == 1


@pytest.mark.parametrize("restart", [False, True])
def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path, restart: bool) -> None:
    out = tmp_path / "novel.jsonl"
    out.write_text("It was a dark night.\n")
    with pytest.raises(RequestError, match="was not begun by a batch job"):
        Output(out, SETTINGS, COUNT, restart=restart)
    assert out.read_text() == "It was a dark night.\n" and [p.name for p in tmp_path.iterdir()] == ["novel.jsonl"]


@pytest.mark.parametrize("spoilt", [b"no JSON\n", b"[1]\n", b'{"index": 9, "error": null}\n', b'{"index": 0}\n'])
def test_a_damaged_line_is_told(tmp_path: Path, spoilt: bytes) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, [1, 2])
    out.write_bytes(out.read_bytes() + spoilt)
    with pytest.raises(RequestError, match="line 3 is none of this job's, or comes twice"):
        Output(out, SETTINGS, COUNT)


def test_a_line_that_comes_twice_is_told(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, [1])
    out.write_bytes(out.read_bytes() * 2)
    with pytest.raises(RequestError, match="line 2"):
        Output(out, SETTINGS, COUNT)


def test_retry_drops_the_failed_lines(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, [0, 1, 2], failed=(1,))
    output = begun(out, [1], retry=True)
    assert output.failed == 0 and [found["error"] for found in lines_of(out)] == [None] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.job.json"]


def test_two_processes_do_not_write_the_same_output(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    begun(out, [0])
    code = f"from pathlib import Path; from lavida.batch.output import Output; Output(Path({str(out)!r}), {{}}, 9)"
    with Output(out, SETTINGS, COUNT):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "another process is writing" in done.stderr


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, write = tmp_path / "out.jsonl", os.write
    with Output(out, SETTINGS, COUNT) as output:
        output.append(line(1))

        def full(descriptor: int, data: bytes) -> int:
            if len(data) < 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, data[:15])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            output.append(line(2))
        monkeypatch.setattr(os, "write", write)
        assert output.append(line(2))
    assert [found["index"] for found in lines_of(out)] == [1, 2]


def test_a_name_that_is_no_utf8_is_written_all_the_same(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Output(out, SETTINGS, COUNT) as output:
        output.append({**line(0), "id": os.fsdecode(b"\xff.png")})
    assert os.fsencode(lines_of(out)[0]["id"]) == b"\xff.png"


@pytest.mark.parametrize(("name", "words"), [(".", "is a folder"), ("none/out.jsonl", "no such folder; make it first")])
def test_where_nothing_can_be_written(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Output(tmp_path / name, SETTINGS, COUNT)
