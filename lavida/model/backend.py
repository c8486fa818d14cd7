"""Adaptation to the hardware, applied from outside: the fastest dtype, and forward passes as CUDA graphs."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.errors import RequestError
from lavida.model.vlm import VLM
from lavida.nn.packed import Product

_ROWS, _WIDTH, _ROUNDS = 32, 1024, 5  # of the product that is timed: a canvas through a small model's layer
Compute = Callable[[], Tensor]
Capture = Callable[[Compute], tuple[Callable[[], None], Tensor]]  # (replay, its output)


@cache
def fastest_dtype(device: str = "cpu") -> torch.dtype:
    """Return bfloat16 where the device multiplies it faster than float32, else float32; measured once a process.

    A CPU is timed, by products of packed weights where it has them: with AVX-512 BF16 or AMX bfloat16 wins, without
    them it is several times slower. On a GPU that lacks bfloat16 it is float16.
    """
    if torch.device(device).type == "cuda":
        known = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if known else torch.float16
    if torch.device(device).type != "cpu":
        return torch.float32
    dtypes = (torch.float32, torch.bfloat16)
    best = dict.fromkeys(dtypes, float("inf"))
    with torch.inference_mode():
        inputs = {dtype: torch.ones(_ROWS, _WIDTH, dtype=dtype) for dtype in dtypes}
        products = {dtype: Product([4 * _WIDTH]) for dtype in dtypes}
        for dtype, product in products.items():
            product.take("weight", 0, torch.ones(4 * _WIDTH, _WIDTH, dtype=dtype))
        for _ in range(_ROUNDS):
            for dtype, product in products.items():
                start = time.perf_counter()
                product(inputs[dtype])
                best[dtype] = min(best[dtype], time.perf_counter() - start)
    return min(dtypes, key=best.__getitem__)


def record_passes(net: VLM) -> None:
    """Replay forward passes over a canvas as CUDA graphs, in place.

    A pass launches hundreds of kernels on few rows, and launching costs more than the work. Behind a closed prefix
    every pass of an answer launches the same kernels at the same addresses, so they are recorded once.

    Raises:
        RequestError: The model is not on a GPU.
    """
    if net.denoiser.device.type != "cuda":
        raise RequestError("CUDA graphs need a model on a GPU; load it with device='cuda'")
    net.denoiser.forward = Recorder(net.denoiser.forward, capture=_cuda_graph)  # type: ignore[method-assign]


@dataclass(kw_only=True)
class _Recorded:
    cache: weakref.ref[PrefixCache]
    memory: list[Tensor]  # keys and values of the layers; a recording holds their addresses
    passes: int = 0
    graph: tuple[Tensor, Callable[[], None], Tensor] | None = None  # input, replay, output


class Recorder:
    """Replace `Denoiser.forward`: the first passes behind a prefix run as usual, later ones are replayed.

    Passes of prompts, under a mask and of training are never recorded. Recordings of the last few prefixes are kept,
    as a batch of requests returns to each of them.
    """

    def __init__(self, forward: Callable[..., Tensor], *, capture: Capture, after: int = 2, keep: int = 4) -> None:
        self._forward, self._capture, self._after, self._keep = forward, capture, after, keep
        self._recorded: OrderedDict[tuple[Any, ...], _Recorded] = OrderedDict()

    def __call__(
        self, x: Tensor, *, positions: Tensor | None = None, mask: Tensor | None = None, cache: Any = None
    ) -> Tensor:
        """Return hidden states [B, L, D]; arguments as in `Denoiser.forward`."""
        plain = positions is None and mask is None and not torch.is_grad_enabled()
        if not (plain and isinstance(cache, PrefixCache) and not cache.writing):
            return self._forward(x, positions=positions, mask=mask, cache=cache)
        recorded = self._recorded_of(cache, x)
        recorded.passes += 1
        if recorded.passes <= self._after:  # also lets libraries allocate what may not be allocated while recording
            return self._forward(x, cache=cache)
        if recorded.graph is None:
            fixed = x.clone()
            recorded.graph = (fixed, *self._capture(lambda: self._forward(fixed, cache=cache)))
        fixed, replay, hidden = recorded.graph
        fixed.copy_(x)
        replay()
        return hidden.clone()

    def _recorded_of(self, cache: PrefixCache, x: Tensor) -> _Recorded:
        key = (id(cache), tuple(x.shape), x.dtype)
        found = self._recorded.get(key)
        if found is None or found.cache() is not cache or not _same(found.memory, cache.memory):
            found = self._recorded[key] = _Recorded(cache=weakref.ref(cache), memory=cache.memory)
        self._recorded.move_to_end(key)
        while len(self._recorded) > self._keep:
            self._recorded.popitem(last=False)
        return found


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(a is b for a, b in zip(some, others))


def _cuda_graph(compute: Compute) -> tuple[Callable[[], None], Tensor]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        hidden = compute()
    return graph.replay, hidden
