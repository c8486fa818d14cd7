"""What the prefix cache saves at the lengths that LaViDa's prompts really have: 980 and 1,008 positions.

    python -m benchmarks.prefix
    python -m benchmarks.prefix --whole        # every pass of every answer; half an hour on 2 cores
    python -m benchmarks.prefix --small        # tiny weights and lengths: does it run?

32 tokens in 32 steps by random weights of half a billion parameters. The passes of an answer do the same work whatever
they read, so a few of each kind are timed and the answer is added up: with the cache the first pass, which reads the
prompt too, and 31 short ones; without, 32 long ones. `--whole` adds nothing up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch

from benchmarks.harness import environment, faster, finish, interleave, parser
from benchmarks.nets import HALF_BILLION, SMALL, parameters, random_net, random_prompt
from benchmarks.report import Report, Row
from lavida.decode.driver import answer_steps
from lavida.decode.loop import Step
from lavida.decode.options import DecodeOptions
from lavida.model.vlm import VLM

LENGTHS = (980, 1008)
CANVAS = 32
SHORT = 4  # passes after the first that are timed


def answer(net: VLM, prefix: torch.Tensor, cache: str) -> Iterator[Step]:
    options = DecodeOptions(length=CANVAS, steps=CANVAS, cache=cache, early_stop=False)
    return answer_steps(net, [prefix], options)


@torch.inference_mode()
def added_up(net: VLM, prefix: torch.Tensor, cache: str) -> float:
    """Seconds of an answer from those of its first passes."""
    steps, start = answer(net, prefix, cache), time.perf_counter()
    next(steps)
    first = time.perf_counter() - start
    if cache == "none":  # every pass is like the first
        return first * CANVAS
    start = time.perf_counter()
    short = sum(1 for _ in islice(steps, SHORT))
    return first + (time.perf_counter() - start) / short * (CANVAS - 1)


@torch.inference_mode()
def whole(net: VLM, prefix: torch.Tensor, cache: str) -> None:
    for _ in answer(net, prefix, cache):
        pass


def main() -> None:
    options = parser(__doc__, rounds=5, seconds=150)
    options.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    options.add_argument("--whole", action="store_true", help="time every pass of every answer")
    args = options.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    net = random_net(SMALL if args.small else HALF_BILLION, getattr(torch, args.dtype))
    prefixes = {n: random_prompt(net, n) for n in ((20, 28) if args.small else LENGTHS)}
    env, once = environment(), whole if args.whole else added_up
    arms = {(cache, n): partial(once, net, x, cache) for n, x in prefixes.items() for cache in ("none", "prefix")}
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    rows = tuple(
        Row(series=f"cache {cache}", x=n, values=tuple(values), ratios=faster(values, found["none", n]))
        for (cache, n), values in found.items()
    )
    report = Report(
        name="prefix",
        title=f"Seconds of {CANVAS} tokens in {CANVAS} steps, {parameters(net) / 1e6:.0f} M weights, {args.dtype}",
        x="positions of the prompt",
        y="s",
        base="no cache",
        rows=rows,
        notes=() if args.whole else ("answers added up from timed passes; --whole times all of them",),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
