"""The limit of an answer: the time of each of its matrix products alone, added up.

    python -m benchmarks.products
    python -m benchmarks.products --model runs/half --dtype bfloat16 --length 32 --steps 32

Every product of one answer about a new picture is noted, attention and convolutions too, with its operands. Then each
kind of product is computed alone in each round, by the weights of all layers in turn, and its least time is multiplied
by the number of its calls. Answers and products take turns within a round. What an answer takes beyond the
sum is Python, norms, activations, scores and memory traffic. Processor seconds stand beside the seconds, since other
work on the cores stretches the latter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import lavida
from benchmarks.harness import PHOTO, environment, finish, parser
from benchmarks.report import Report, Row

KINDS = {
    "mm": "products",
    "addmm": "products",
    "linear": "products",
    "matmul": "products",
    "_linear_pointwise": "products",
    "conv2d": "convolutions",
    "scaled_dot_product_attention": "attention",
}
MOST = 64  # calls of one kind whose operands are kept: one for each layer


@dataclass(kw_only=True)
class Calls:
    """Hold the calls of one operator with operands of the same shapes."""

    kind: str
    operator: Callable[..., Any]
    count: int = 0
    kept: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    weights: set[int] = field(default_factory=set)
    best: float = float("inf")  # processor seconds of one call

    def measure(self) -> None:
        """Compute the kept calls one after the other."""
        start = time.process_time()
        for args, named in self.kept:
            self.operator(*args, **named)
        self.best = min(self.best, (time.process_time() - start) / len(self.kept))


class Notes(TorchDispatchMode):
    """Note every product that is computed inside."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[Any, Calls] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, and note what is a product."""
        named = kwargs or {}
        name = func.overloadpacket.__name__
        if name in KINDS:
            tensors = [a for a in args if isinstance(a, Tensor)]
            key = (func, *((tuple(t.shape), t.dtype) for t in tensors))
            calls = self.calls.setdefault(key, Calls(kind=_kind(name, named), operator=func))
            calls.count += 1
            if id(tensors[-1]) not in calls.weights and len(calls.kept) < MOST:
                calls.weights.add(id(tensors[-1]))
                calls.kept.append((args, named))
        return func(*args, **named)


def _kind(name: str, named: dict[str, Any]) -> str:
    return "attention" if name == "mm" and "out" in named else KINDS[name]  # heads one by one write into memory given


def note(work: Callable[[], object]) -> list[Calls]:
    """Return the products that `work` computes."""
    with Notes() as notes:
        work()
    return list(notes.calls.values())


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--dtype", choices=("float32", "bfloat16"))
    options.add_argument("--length", type=int)
    options.add_argument("--steps", type=int)
    args = options.parse_args()
    model = lavida.load(args.model, dtype=args.dtype, threads=args.threads)
    env, seen = environment(), PHOTO if model.net.config.vision is not None else None
    decoding = {name: value for name in ("length", "steps") if (value := getattr(args, name)) is not None}

    def answer() -> None:
        model.forget()
        model.describe(seen, early_stop=False, **decoding)

    answer()
    calls, seconds, cpu, sums = note(answer), [], [], []
    begin = time.perf_counter()
    for turn in range(2 if args.small else args.rounds):
        if turn > 1 and (time.perf_counter() - begin) * (turn + 1) / turn > args.seconds:
            break
        start, used = time.perf_counter(), time.process_time()
        answer()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
        with torch.inference_mode():
            for one in calls:
                one.measure()
        sums.append(sum(one.best * one.count for one in calls))
    by_kind = {
        kind: sum(one.best * one.count for one in calls if one.kind == kind) for kind in dict.fromkeys(KINDS.values())
    }
    limit, number = min(sums), sum(one.count for one in calls)
    rows = (
        Row(series="answer", x="seconds", values=tuple(seconds)),
        Row(series="answer", x="processor seconds", values=tuple(cpu), ratios=tuple(limit / value for value in cpu)),
        Row(series="limit", x="its products alone", values=(limit,), facts={**by_kind, "calls": number}),
    )
    report = Report(
        name="products",
        title=f"Seconds of an answer and of its {number} products alone, {model.name}, {model.net.denoiser.dtype}",
        x="part",
        y="s",
        base="the sum of the products alone",
        rows=rows,
        notes=(f"the quickest answer takes {min(cpu) / limit:.2f} times its products",),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
