"""Inputs of every kind, and jobs over them, for the tests of `lavida.batch`."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lavida.batch.job import Job
from lavida.batch.run import prepare
from tests.pictures import gradient

FEW = {"length": 6, "steps": 3, "temperature": 1.0}  # a random model writes different texts at a temperature


def picture(number: int) -> bytes:
    """A PNG unlike those of other numbers."""
    held = io.BytesIO()
    gradient(40 + 3 * number, 50 + number).save(held, "PNG")
    return held.getvalue()


def write_folder(folder: Path, count: int) -> Path:
    """Pictures 00.png, 01.png, ..., those of odd numbers in a folder of it."""
    (folder / "odd").mkdir(parents=True)
    for number in range(count):
        (folder / ("odd" if number % 2 else ".") / f"{number:02}.png").write_bytes(picture(number))
    return folder


def write_lines(path: Path, records: list[Any]) -> Path:
    """JSON lines; a record that is bytes is written as it is."""
    lines = [r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def write_tar(path: Path, files: Mapping[str, bytes] | list[tuple[str, bytes]]) -> Path:
    """An archive of files by name."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def run(model: Path | str, inputs: Path | str, out: Path, **rest: Any) -> list[dict[str, Any]]:
    """Run a job to its end and return all lines of its output, in the order of the inputs."""
    with prepare(Job(model=str(model), inputs=str(inputs), out=out, **{"options": FEW, **rest})) as prepared:
        for _ in prepared.lines():
            pass
    return lines_of(out)


def lines_of(out: Path) -> list[dict[str, Any]]:
    """The lines of an output by the place of their inputs. Fails for a torn line, and for one that comes twice."""
    data = out.read_bytes()
    assert data.endswith(b"\n") or not data
    lines = [json.loads(line) for line in data.splitlines()]
    places = [line["index"] for line in lines]
    assert len(set(places)) == len(places)
    return sorted(lines, key=lambda line: line["index"])
