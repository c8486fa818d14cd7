"""Memory that a pass takes besides the weights and the keys of the prompt, by length of the canvas and of the prompt.

    python -m benchmarks.step_memory
    python -m benchmarks.step_memory --dtype float32

A vocabulary of 126,464 and a small body of random weights: what grows with canvas and vocabulary is to be seen, and
would drown in an 8B model's activations no more than in this one's. Linux only: it tells the peak of a process, and
lets it be reset.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.harness import Report, Row, environment, finish, interleave, parser, some
from benchmarks.nets import LLADA_VOCABULARY, SMALL, random_net, random_prompt
from lavida.cache.prefix import PrefixCache
from lavida.decode.answer import answer_steps
from lavida.decode.loop import Step
from lavida.decode.options import DecodeOptions
from lavida.model.vlm import VLM

CANVASES, PROMPTS = (16, 64, 256, 1024), (64, 1008)
BODY = replace(SMALL, vocab_size=LLADA_VOCABULARY, d_model=512, n_heads=8, n_kv_heads=8, mlp_size=1536)
MB = 1e6


def resident(name: str) -> int:
    """Bytes of this process: VmRSS, now; VmHWM, the peak since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def settle() -> None:
    """Give freed memory back and forget the peak."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def second_pass(steps: Iterator[Step]) -> float:
    """Megabytes that a pass takes at its peak; the first may still allocate what stays."""
    next(steps)
    settle()
    before = resident("VmRSS")
    next(steps)
    return (resident("VmHWM") - before) / MB


@torch.inference_mode()
def extra(net: VLM, held: PrefixCache, canvas: int) -> float:
    options = DecodeOptions(length=canvas, steps=max(2, canvas // 2), schedule="even", early_stop=False)
    return second_pass(answer_steps(net, [], options, cache=held))


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    args = options.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    net = random_net(SMALL if args.small else BODY, getattr(torch, args.dtype))
    held = {n: net.prefill([random_prompt(net, n)]) for n in PROMPTS}
    env = environment()
    arms = {
        (n, canvas): partial(extra, net, cache, canvas) for n, cache in held.items() for canvas in some(CANVASES, args)
    }
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    rows = tuple(Row(series=f"prompt of {n}", x=canvas, values=tuple(mb)) for (n, canvas), mb in found.items())
    report = Report(
        name="step_memory",
        title=f"Megabytes of a pass, vocabulary {net.config.denoiser.vocab_size}, {args.dtype}",
        x="tokens of the canvas",
        y="MB",
        rows=rows,
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
