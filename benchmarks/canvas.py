"""What one pass over the canvas takes, by the length of the canvas and by cache.

    python -m benchmarks.canvas

Words do not matter to the time, so a model is made to hold more positions than it was taught: what it writes on a
canvas of a thousand tokens is nonsense, and takes as long as sense would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import lavida
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser, some
from benchmarks.latency import caches
from benchmarks.report import Report, Row
from lavida.api import Draft

LENGTHS = (16, 32, 64, 128, 256, 512, 1024)


def widen(model: lavida.Model, positions: int) -> None:
    """Let a model read and write so many positions."""
    config = model.net.config
    room = max(positions, config.denoiser.max_length)
    model.net.config = replace(config, denoiser=replace(config.denoiser, max_length=room))


def passes(model: lavida.Model, length: int, cache: str) -> Iterator[Draft]:
    """Yield the passes of an answer without end; all of the canvas is open but what the first of them commit."""
    return model.stream(PHOTO, length=length, steps=length, schedule="even", cache=cache, early_stop=False)


def one_pass(model: lavida.Model, length: int, cache: str) -> float:
    """Seconds of the second pass: the first begins with picture and prompt."""
    drafts = passes(model, length, cache)
    next(drafts)
    start = time.perf_counter()
    next(drafts)
    return time.perf_counter() - start


def main() -> None:
    args = parser(__doc__).parse_args()
    model = lavida.load(args.model, threads=args.threads)
    widen(model, LENGTHS[-1] + 1024)
    env = environment()
    arms = {(cache, n): partial(one_pass, model, n, cache) for cache in caches(model) for n in some(LENGTHS, args)}
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    rows = tuple(
        Row(
            series=f"cache {cache}",
            x=n,
            values=tuple(1000 * s for s in found[cache, n]),
            ratios=faster(found[cache, n], found["prefix", LENGTHS[0]]),
        )
        for cache, n in arms
    )
    finish(
        Report(
            name="canvas",
            title="Milliseconds of one pass by length of the canvas",
            x="tokens of the canvas",
            y="ms",
            base=f"a canvas of {LENGTHS[0]} with the prefix cache",
            rows=rows,
        ),
        args.out,
        env,
    )


if __name__ == "__main__":
    main()
