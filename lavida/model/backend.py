"""What the hardware does best, applied from outside: the dtype it multiplies fastest, and passes as CUDA graphs."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.errors import RequestError
from lavida.model.vlm import VLM

_ROWS, _WIDTH, _ROUNDS = 32, 1024, 5  # of the product that is timed: a canvas through a small model's layer
Compute = Callable[[], Tensor]
Capture = Callable[[Compute], tuple[Callable[[], None], Tensor]]  # (replay, what each replay writes into)


@cache
def fastest_dtype(device: str = "cpu") -> torch.dtype:
    """bfloat16 where the device multiplies it faster than float32, else float32; found out once a process.

    A CPU is timed: with AVX-512 BF16 or AMX bfloat16 wins, without them it is several times slower. On a GPU that
    lacks bfloat16 it is float16.
    """
    if torch.device(device).type == "cuda":
        known = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if known else torch.float16
    if torch.device(device).type != "cpu":
        return torch.float32
    dtypes = (torch.float32, torch.bfloat16)
    best = dict.fromkeys(dtypes, float("inf"))
    with torch.inference_mode():
        products = {d: (torch.ones(_ROWS, _WIDTH, dtype=d), torch.ones(4 * _WIDTH, _WIDTH, dtype=d)) for d in dtypes}
        for _ in range(_ROUNDS):
            for dtype, (x, weight) in products.items():
                start = time.perf_counter()
                F.linear(x, weight)
                best[dtype] = min(best[dtype], time.perf_counter() - start)
    return min(dtypes, key=best.__getitem__)


def record_passes(net: VLM) -> None:
    """Play passes over a canvas back as CUDA graphs, in place. Raises RequestError for a model that is not on a GPU.

    A pass launches hundreds of kernels on few rows, and a launch costs a GPU more than the work. Behind a closed prefix
    every pass of an answer launches the same ones at the same addresses, so they are recorded once.
    """
    if not net.denoiser.embedding.weight.is_cuda:
        raise RequestError("CUDA graphs need a model on a GPU; load it with device='cuda'")
    net.denoiser.forward = Recorder(net.denoiser.forward, capture=_cuda_graph)


@dataclass(kw_only=True)
class _Recorded:
    cache: weakref.ref[PrefixCache]
    memory: list[Tensor | None]  # keys of the layers; a recording holds their addresses
    passes: int = 0
    x: Tensor | None = None  # what is read at each replay
    hidden: Tensor | None = None  # what is written
    replay: Callable[[], None] | None = None


class Recorder:
    """Stands for `Denoiser.forward`: the first passes behind a prefix run as ever, later ones are played back.

    Those of prompts, of models under a mask and of training are never recorded. Recordings of the last few prefixes
    are kept: a batch of requests comes back to each of them.
    """

    def __init__(self, forward: Callable[..., Tensor], *, capture: Capture, after: int = 2, keep: int = 4) -> None:
        self._forward, self._capture, self._after, self._keep = forward, capture, after, keep
        self._recorded: OrderedDict[tuple[Any, ...], _Recorded] = OrderedDict()

    def __call__(
        self, x: Tensor, *, positions: Tensor | None = None, mask: Tensor | None = None, cache: Any = None
    ) -> Tensor:
        plain = positions is None and mask is None and not torch.is_grad_enabled()
        if not (plain and isinstance(cache, PrefixCache) and not cache.writing):
            return self._forward(x, positions=positions, mask=mask, cache=cache)
        one = self._of(cache, x)
        one.passes += 1
        if one.passes <= self._after:  # also lets libraries allocate what may not be allocated while recording
            return self._forward(x, cache=cache)
        if one.replay is None:
            one.x = x.clone()
            one.replay, one.hidden = self._capture(lambda: self._forward(one.x, cache=cache))
        one.x.copy_(x)
        one.replay()
        return one.hidden.clone()

    def _of(self, cache: PrefixCache, x: Tensor) -> _Recorded:
        key = (id(cache), tuple(x.shape), x.dtype)
        one = self._recorded.get(key)
        if one is None or one.cache() is not cache or not _same(one.memory, cache.memory):
            one = self._recorded[key] = _Recorded(cache=weakref.ref(cache), memory=cache.memory)
        self._recorded.move_to_end(key)
        while len(self._recorded) > self._keep:
            self._recorded.popitem(last=False)
        return one


def _same(some: list[Tensor | None], others: list[Tensor | None]) -> bool:
    return all(a is b for a, b in zip(some, others, strict=True))


def _cuda_graph(compute: Compute) -> tuple[Callable[[], None], Tensor]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        hidden = compute()
    return graph.replay, hidden
