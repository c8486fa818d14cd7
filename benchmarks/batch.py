"""A batch job over pictures in files against a loop over Model.ask, with the same answers.

    python -m benchmarks.batch

Both arms open the same files, none of which the model has seen, and write a line of JSON for each answer. The time to
load the model is in neither. The texts must be the same, or the benchmark fails. Besides, the memory that the
bookkeeping of a job takes by input, without a model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tracemalloc
from pathlib import Path

from PIL import Image

import lavida
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser, some
from benchmarks.report import Report, Row
from lavida.api import Model
from lavida.batch.answers import READERS, answer_entries
from lavida.batch.inputs import LineInputs, open_inputs
from lavida.batch.output import Output
from lavida.engine import Engine, answers_at_once

COUNTS = (4, 16)
STEPS = (16, 4)
QUESTION = "What is this?"
MANY = 100_000  # inputs whose bookkeeping is measured


def write_pictures(folder: Path, count: int) -> None:
    """Write crops of one photo, all different."""
    photo = Image.open(PHOTO).convert("RGB")
    for i in range(count):
        photo.crop((i, i, photo.width - i, photo.height - i // 2)).save(folder / f"{i:04}.jpg", quality=90)


def loop(model: Model, folder: Path, count: int, steps: int) -> dict[str, str]:
    """Return the texts of a loop, by picture."""
    model.forget()
    found = {}
    with (folder.parent / "loop.jsonl").open("w") as out:
        for path in sorted(folder.iterdir())[:count]:
            answer = model.ask(path, QUESTION, steps=steps)
            out.write(json.dumps({"id": path.name, "text": answer.text, "steps": answer.steps}) + "\n")
            found[path.name] = answer.text
    return found


def job(model: Model, folder: Path, count: int, steps: int) -> dict[str, str]:
    """Return the texts of a job, by picture."""
    model.forget()
    inputs, out, found = open_inputs(str(folder), asked=QUESTION), folder.parent / "job.jsonl", {}
    with Output(out, {}, len(inputs), restart=True) as output, Engine(model, most=answers_at_once(model)) as engine:
        for line in answer_entries(engine, inputs.entries(range(count)), {"steps": steps}, readers=READERS):
            output.append(line)
            found[line["id"]] = line["text"]
    return found


def bookkeeping(folder: Path) -> tuple[float, float]:
    """Return the bytes that a job keeps of each input when it begins, and those that are added in its second half."""
    path = folder / "many.jsonl"
    with path.open("w") as file:
        file.writelines(f'{{"id": "picture {i}", "image": "folder/picture-{i:07}.jpg"}}\n' for i in range(MANY))
    tracemalloc.start()
    inputs = LineInputs(path, images=folder, asked=QUESTION)
    with Output(folder / "many.out", {}, len(inputs)) as output:
        held = [tracemalloc.get_traced_memory()[0]]
        for entry in inputs.entries(range(MANY)):
            output.append({"index": entry.index, "id": entry.id, "text": "x" * 50, "error": None})
            if entry.index + 1 in (MANY // 2, MANY):
                held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return held[0] / MANY, (held[2] - held[1]) / (MANY // 2)


def measure(args: argparse.Namespace, folder: Path) -> Report:
    model = lavida.load(args.model, threads=args.threads)
    counts, steps = some(COUNTS, args), some(STEPS, args)
    pictures = folder / "photos"
    pictures.mkdir()
    write_pictures(pictures, counts[-1])
    ways = {"loop over Model.ask": loop, "batch job": job}
    for n in steps:
        texts = [way(model, pictures, counts[-1], n) for way in ways.values()]
        if texts[0] != texts[1]:
            raise SystemExit(f"{n} steps: the job's texts are not those of the loop")

    def seconds_each(way: str, count: int, n: int) -> float:
        start = time.perf_counter()
        ways[way](model, pictures, count, n)
        return (time.perf_counter() - start) / count

    arms = {
        (way, n, count): lambda way=way, n=n, count=count: seconds_each(way, count, n)
        for n in steps
        for count in counts
        for way in ways
    }
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    rows = [
        Row(
            series=f"{way}, {n} steps",
            x=count,
            values=tuple(1 / s for s in found[way, n, count]),
            ratios=faster(found[way, n, count], found["loop over Model.ask", n, count]),
        )
        for way, n, count in arms
    ]
    return Report(
        name="batch",
        title="A batch job against a loop over Model.ask",
        x="pictures",
        y="answers/s",
        rows=tuple(rows),
        base="the loop over the same pictures",
        notes=(
            f"the texts of all {counts[-1]} pictures are the same either way",
            "bookkeeping of {} JSON lines: {:.1f} bytes each, and {:.1f} more by each answer".format(
                MANY, *bookkeeping(folder)
            ),
        ),
    )


def main() -> None:
    args = parser(__doc__, rounds=5, seconds=120).parse_args()
    env = environment()
    with tempfile.TemporaryDirectory() as folder:
        finish(measure(args, Path(folder)), args.out, env)


if __name__ == "__main__":
    main()
