"""Mixed requests answered by the engine, whose passes they share, against the same ones answered one by one.

    python -m benchmarks.batching

Pictures, prompt lengths, canvas lengths, steps, schedules, rules, temperatures and seeds differ. Both arms must write
the same ids, or the benchmark fails. "new pictures" have yet to be looked at, which takes as long either way.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

from PIL import Image

import lavida
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser, some
from benchmarks.report import Report, Row
from lavida.api import Answer, Model
from lavida.decode.batch_invariance import block_invariance
from lavida.engine import Engine

COUNTS = (1, 4, 16)
DTYPES = ("float32", "bfloat16")
QUESTIONS = (
    "What is this?",
    "Describe the image.",
    "What colour is it, and is there anything else beside it?",
    "How many are there?",
)
OPTIONS = (
    {},
    {"steps": 8},
    {"length": 32, "steps": 16},
    {"length": 12, "temperature": 0.7},
    {"length": 24, "block": 8, "steps": 12},
    {"length": 20, "remasking": "entropy", "schedule": "linear", "steps": 10},
    {"length": 32, "threshold": 0.8},
    {"length": 16, "remasking": "margin"},
)
Request = tuple[Image.Image, str, dict[str, object]]


def mixed() -> list[Request]:
    """Return the requests, the same each time: four crops of a photo, four questions, eight ways to write."""
    photo = Image.open(PHOTO).convert("RGB")
    width, height = photo.size
    crops = [photo.crop((i * width // 16, 0, width - (3 - i) * width // 16, height)) for i in range(4)]
    return [
        (crops[i % 4], QUESTIONS[(i // 4 + i) % 4], {**OPTIONS[i % 8], "seed": i, "early_stop": False})
        for i in range(COUNTS[-1])
    ]


def one_by_one(model: Model, requests: list[Request]) -> list[Answer]:
    return [model.ask(image, question, **options) for image, question, options in requests]


def together(engine: Engine, requests: list[Request]) -> list[Answer]:
    tickets = [engine.submit(image, question, **options) for image, question, options in requests]
    return [ticket.result() for ticket in tickets]


def seconds_each(model: Model, requests: list[Request], answer: Callable[..., list[Answer]], new: bool) -> float:
    """Seconds by answer."""
    model.forget()
    for image, _, _ in () if new else requests:
        model.ask(image, "Query.", length=1)
    start = time.perf_counter()
    answer(requests)
    return (time.perf_counter() - start) / len(requests)


def compared(args: argparse.Namespace, dtype: str) -> tuple[list[Row], list[str]]:
    """Rows and notes of one dtype. Ends the program if an answer in company is another one."""
    model = lavida.load(args.model, threads=args.threads, dtype=dtype)
    counts = some(COUNTS, args)
    engine, requests = Engine(model), mixed()[: counts[-1]]
    pairs = zip(one_by_one(model, requests), together(engine, requests), strict=True)
    if any(a.ids != b.ids for a, b in pairs):
        raise SystemExit(f"{dtype}: an answer in company differs from the same one alone")
    ways = {"one by one": partial(one_by_one, model), "engine": partial(together, engine)}
    arms = {
        (pictures, way, n): partial(seconds_each, model, requests[:n], ways[way], pictures == "new pictures")
        for pictures, n in (*(("seen pictures", n) for n in counts), ("new pictures", counts[-1]))
        for way in ways
    }
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds / len(DTYPES))
    rows = [
        Row(
            series=f"{way}, {pictures}, {dtype}",
            x=n,
            values=tuple(1 / s for s in found[pictures, way, n]),
            ratios=faster(found[pictures, way, n], found[pictures, "one by one", n]),
        )
        for pictures, way, n in arms
    ]
    invariant = block_invariance(model.net.denoiser)
    left = ", ".join(str(n) for n in range(1, 65) if not invariant(n)) or "none"
    return rows, [
        f"{dtype}: all {len(requests)} answers have the same ids either way",
        f"{dtype}: numbers of rows up to 64 that are not shared, for their bits would change: {left}",
    ]


def main() -> None:
    args = parser(__doc__, rounds=5, seconds=90).parse_args()
    env = environment()
    found = [compared(args, dtype) for dtype in DTYPES]
    report = Report(
        name="batching",
        title="Mixed requests: the engine against one by one",
        x="requests",
        y="answers/s",
        rows=tuple(row for rows, _ in found for row in rows),
        base="the same requests one by one",
        notes=tuple(note for _, notes in found for note in notes),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
