"""A pass over the canvas by dtype, by packing of the weights and by number of threads.

    python -m benchmarks.backends
    python -m benchmarks.backends --half-billion     # random weights of that size instead of a model

bfloat16 pays where the processor multiplies it (AVX-512 BF16, AMX); packed weights pay where memory is what is short.
On a GPU the same is told of `load(graphs=True)`.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from functools import partial

import torch

import lavida
from benchmarks.harness import environment, faster, finish, interleave, parser, some
from benchmarks.nets import HALF_BILLION, random_net, random_prompt
from benchmarks.report import Report, Row
from lavida.cache.prefix import PrefixCache
from lavida.decode.driver import answer_steps
from lavida.decode.loop import Step
from lavida.decode.options import DecodeOptions
from lavida.model.backend import record_passes
from lavida.model.packing import pack_products
from lavida.model.placement import quantize
from lavida.model.vlm import VLM

CANVAS, PROMPT = 32, 260  # of lavida-mini: a picture, its hint and a question take about so many positions
TIMED = 4  # passes of each turn
BASE = ("float32", 1)


def variants(net: VLM) -> dict[str, VLM]:
    """Return copies of a float32 network, one for each way to hold its weights."""
    made = {"float32": net, "bfloat16": copy.deepcopy(net).bfloat16()}
    for name, start in (("float32 int8", net), ("bfloat16 int8", made["bfloat16"])):
        made[name] = copy.deepcopy(start)
        quantize(made[name], "int8")
    return made


def on_gpu(net: VLM) -> dict[str, VLM]:
    """In bfloat16 on the GPU, eager and as graphs."""
    made = {name: copy.deepcopy(net).bfloat16().cuda() for name in ("cuda bfloat16", "cuda bfloat16 graphs")}
    record_passes(made["cuda bfloat16 graphs"])
    return made


def passes(net: VLM, held: PrefixCache) -> Iterator[Step]:
    options = DecodeOptions(length=CANVAS, early_stop=False)
    return answer_steps(net, [], options, cache=held)


@torch.inference_mode()
def milliseconds(net: VLM, held: PrefixCache, threads: int) -> float:
    """Of a pass after the first few, which record and allocate."""
    torch.set_num_threads(threads)
    steps = passes(net, held)
    for _ in range(4):
        next(steps)
    start = time.perf_counter()
    for _ in range(TIMED):
        next(steps)
    return 1000 * (time.perf_counter() - start) / TIMED


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--half-billion", action="store_true", help="random weights instead of a model")
    args = options.parse_args()
    random = partial(random_net, HALF_BILLION, torch.float32)
    net = pack_products(random()) if args.half_billion else lavida.load(args.model, dtype="float32").net
    env, nets = environment(), variants(net)
    threads = sorted({1, args.threads or os.cpu_count() or 1})
    arms = {(name, n): nets[name] for name in some(list(nets), args) for n in threads}
    if torch.cuda.is_available():
        arms |= {(name, 1): made for name, made in on_gpu(net).items()}
    with torch.inference_mode():
        held = {key: made.prefill([random_prompt(made, PROMPT)]) for key, made in arms.items()}
    found = interleave(
        {key: partial(milliseconds, made, held[key], key[1]) for key, made in arms.items()},
        rounds=args.rounds,
        seconds=args.seconds,
    )
    rows = tuple(
        Row(series=name, x=n, values=tuple(values), ratios=faster(values, found[BASE]))
        for (name, n), values in found.items()
    )
    report = Report(
        name="backends-half-billion" if args.half_billion else "backends",
        title=f"Milliseconds of a pass, canvas of {CANVAS} behind {PROMPT} positions",
        x="threads",
        y="ms",
        base="float32 on one thread",
        rows=rows,
        notes=() if torch.cuda.is_available() else ("no GPU here: CUDA graphs were not timed",),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
