"""The fastest dtype, and passes that are recorded and played back."""

from __future__ import annotations

import pytest
import torch

import lavida
from lavida.cache.prefix import PrefixCache
from lavida.decode.driver import answer_steps
from lavida.decode.options import DecodeOptions
from lavida.errors import RequestError
from lavida.model import backend
from lavida.model.backend import Compute, Recorder, fastest_dtype, record_passes
from lavida.model.vlm import VLM
from lavida.nn.packed import Product
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer


@pytest.fixture()
def net() -> VLM:
    return tiny_net(tiny_config(tiny_tokenizer()))


class Tape:
    """Stands for a CUDA graph: a replay does what was recorded, into the memory that was recorded."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, compute: Compute) -> tuple:
        self.recorded += 1
        hidden = compute()

        def replay() -> None:
            self.replayed += 1
            hidden.copy_(compute())

        return replay, hidden


def held(net: VLM, words: int = 6) -> PrefixCache:
    ids = torch.arange(words)
    return net.prefill([net.denoiser.embed(ids)[None]])


def write(net: VLM, cache: PrefixCache, length: int) -> list[list[int]]:
    options = DecodeOptions(length=length, early_stop=False)
    with torch.inference_mode():
        return [step.canvas.tolist() for step in answer_steps(net, [], options, cache=cache)]


def test_passes_played_back_are_the_passes(net: VLM) -> None:
    plain = [write(net, held(net), n) for n in (8, 5)]
    tape, cache = Tape(), held(net)
    write(net, cache, 8)  # where the keys lie is settled
    net.denoiser.forward = Recorder(net.denoiser.forward, capture=tape, after=2)
    assert [write(net, cache, n) for n in (8, 5)] == plain
    assert tape.recorded == 2 and tape.replayed == (8 - 2) + (5 - 2)  # one recording for each length of the canvas


def test_another_prefix_is_recorded_anew_and_few_are_kept(net: VLM) -> None:
    plain = [write(net, held(net, words), 6) for words in (3, 4, 3)]
    tape = Tape()
    net.denoiser.forward = Recorder(net.denoiser.forward, capture=tape, after=1, keep=1)
    caches = [held(net, words) for words in (3, 4)]
    assert [write(net, cache, 6) for cache in (*caches, caches[0])] == plain
    assert tape.recorded == 3


def test_a_prefix_that_moved_is_recorded_anew(net: VLM) -> None:
    tape = Tape()
    net.denoiser.forward = Recorder(net.denoiser.forward, capture=tape, after=1)
    cache = held(net)
    before = write(net, cache, 6)
    keys, values = cache._kept[0]
    cache._kept[0] = keys.clone(), values
    assert write(net, cache, 6) == before and tape.recorded == 2


def test_prompts_masks_and_training_are_not_recorded(net: VLM) -> None:
    tape = Tape()
    forward = Recorder(net.denoiser.forward, capture=tape, after=0)
    x, cache = net.denoiser.embed(torch.arange(4))[None], held(net)
    forward(x)
    with torch.inference_mode():
        forward(x, mask=torch.ones(4, 4, dtype=torch.bool))
        forward(x, cache=PrefixCache(net.config.denoiser.n_layers))
        forward(x, cache=cache, positions=torch.arange(6, 10))
    forward(x, cache=cache)
    assert tape.recorded == 0
    with torch.inference_mode():
        forward(x, cache=cache)
    assert tape.recorded == 1


def test_graphs_need_a_gpu(net: VLM, tiny_folder) -> None:
    with pytest.raises(RequestError, match="device='cuda'"):
        record_passes(net)
    with pytest.raises(RequestError, match="GPU"):
        lavida.load(tiny_folder, graphs=True)


def test_the_fastest_dtype_is_found_by_time(monkeypatch: pytest.MonkeyPatch, tiny_folder) -> None:
    clock = iter(range(1000))
    slow = {torch.float32: 5, torch.bfloat16: 1}
    last = {}

    def now() -> float:
        return next(clock) + last.pop("extra", 0)

    def multiply(self: Product, x: torch.Tensor) -> torch.Tensor:
        last["extra"] = slow[x.dtype]
        return x

    fastest_dtype.cache_clear()
    monkeypatch.setattr(backend.time, "perf_counter", now)
    monkeypatch.setattr(Product, "__call__", multiply)
    assert fastest_dtype("cpu") == torch.bfloat16
    fastest_dtype.cache_clear()
    slow[torch.bfloat16] = 9
    assert fastest_dtype("cpu") == torch.float32 == fastest_dtype("mps")
    monkeypatch.undo()
    fastest_dtype.cache_clear()
    assert lavida.load(tiny_folder, dtype="auto").net.denoiser.dtype == fastest_dtype("cpu")
    with pytest.raises(RequestError, match="auto"):
        lavida.load(tiny_folder, dtype="float8")


@pytest.mark.gpu
def test_cuda_graphs_write_what_eager_passes_write(net: VLM) -> None:
    net = net.to("cuda")
    with torch.device("cuda"):
        plain, cache = write(net, held(net), 8), held(net)
    record_passes(net)
    assert write(net, cache, 8) == plain
