"""How long an answer takes, by number of steps and by cache.

    python -m benchmarks.latency
    python -m benchmarks.latency --model my-model --rounds 9 --threads 2

Early stopping is off: every setting runs all its steps. The picture has been seen before, except in the first row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import lavida
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser, some
from benchmarks.report import Report, Row
from lavida.decode.options import BLOCK_CACHES

LENGTH = 32
STEPS = (32, 4, 8, 16)


def caches(model: lavida.Model) -> list[str]:
    """Those that the model takes: block caches approximate a prompt that sees the answer."""
    config = model.net.config
    some = () if config.shared_image or config.denoiser.autoregressive else BLOCK_CACHES
    return ["prefix", "none", *some]


def look(model: lavida.Model) -> None:
    """Do the least that a new picture takes: encoder, prompt, one pass."""
    model.forget()
    model.describe(PHOTO, length=1)


def answer(model: lavida.Model, steps: int, cache: str) -> float:
    return model.describe(PHOTO, length=LENGTH, steps=steps, cache=cache, early_stop=False).seconds


def measure(model: lavida.Model, steps: Sequence[int], rounds: int, seconds: float) -> Report:
    arms = {(cache, n): partial(answer, model, n, cache) for cache in caches(model) for n in steps}
    found = interleave({("look", 1): partial(look, model), **arms}, rounds=rounds, seconds=seconds)
    base = found["prefix", LENGTH]
    rows = [
        Row(
            series=f"cache {cache}",
            x=n,
            values=tuple(found[cache, n]),
            ratios=faster(found[cache, n], base),
        )
        for cache, n in arms
    ]
    first = Row(series="first look", x=1, values=tuple(found["look", 1]), ratios=faster(found["look", 1], base))
    return Report(
        name="latency",
        title=f"Seconds of an answer, canvas of {LENGTH} tokens",
        x="steps",
        y="s",
        base=f"{LENGTH} steps with the prefix cache",
        rows=(first, *rows),
    )


def main() -> None:
    args = parser(__doc__).parse_args()
    model = lavida.load(args.model, threads=args.threads)
    env = environment()
    finish(measure(model, some(STEPS, args), args.rounds, args.seconds), args.out, env)


if __name__ == "__main__":
    main()
