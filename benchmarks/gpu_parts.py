"""Measure the parts of `benchmarks.gpu`: each function takes the bench and its seconds, and returns a report."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from json import loads
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks.harness import PHOTO, ROOT, faster, interleave
from benchmarks.nets import random_prompt
from benchmarks.prefix import added_up
from benchmarks.report import Report, Row
from lavida.api import Model
from lavida.cache.prefix import PrefixCache
from lavida.checkpoint.make_random import RECIPES, random_config, write_placeholder_tokenizer
from lavida.checkpoint.named import tokenizer_of
from lavida.decode.driver import answer_steps
from lavida.decode.options import DecodeOptions
from lavida.engine import Engine
from lavida.model.backend import record_passes
from lavida.model.placement import quantize
from lavida.model.vlm import VLM

ROUNDS, WARM, TIMED = 5, 4, 8  # rounds at most; steps before those that are timed, and how many are timed
QUESTION = "What is this?"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Hold how large the measurements are."""

    prompt: int  # positions
    canvases: tuple[int, ...]
    batches: tuple[int, ...]
    copied: int  # bytes of the tensor that is copied
    length: int  # tokens of an answer
    steps: int


SIZES = {
    "8b": Sizes(
        prompt=1008, canvases=(16, 32, 64, 128), batches=(1, 2, 4, 8, 16, 32, 64), copied=1 << 31, length=32, steps=8
    ),
    "half": Sizes(prompt=1008, canvases=(16, 32, 64), batches=(1, 4, 16), copied=1 << 28, length=32, steps=8),
    "tiny": Sizes(prompt=28, canvases=(8, 16), batches=(1, 2, 4), copied=1 << 20, length=8, steps=2),
}


@dataclass(kw_only=True)
class Bench:
    """Hold the model that is measured, and what one part tells another."""

    model: Model
    sizes: Sizes
    device: torch.device
    out: Path
    record: Callable[[VLM], None] = record_passes  # replays passes as CUDA graphs
    official: dict[str, str] = field(default_factory=dict)  # options of `benchmarks.official`
    bandwidth: float | None = None  # bytes a second

    @property
    def net(self) -> VLM:
        """Return the network."""
        return self.model.net

    def prefix(self, room: int) -> PrefixCache:
        """Return a prompt of random words, computed."""
        with torch.inference_mode():
            return self.net.prefill([self.words()], room=room)

    def words(self) -> Tensor:
        """Return the embeddings of a prompt."""
        return random_prompt(self.net, self.sizes.prompt)

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], times: int = 1) -> float:
        """Return the seconds of one call of several."""
        self.wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - start) / times


def random_model(family: str, scale: str, device: torch.device) -> Model:
    """Return a model of random weights in bfloat16, made on the device."""
    config, before = random_config(family, scale), torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            net = VLM(config)
    finally:
        torch.set_default_dtype(before)
    net.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    net.reset(generator)
    with torch.no_grad():
        for weight in net.tower.parameters() if net.tower is not None else ():
            weight.normal_(0.0, 0.02, generator=generator)
    with tempfile.TemporaryDirectory() as folder:
        tokens, longest = RECIPES[family].tokens, config.denoiser.max_length
        write_placeholder_tokenizer(Path(folder), tokens, official=scale != "tiny", max_length=longest)
        tokenizer = tokenizer_of(Path(folder), config)
    return Model(net.eval(), tokenizer, name=f"random {scale}")


def copying(bench: Bench, seconds: float) -> Report:
    """Measure the bandwidth of memory, which the other parts are held against."""
    source = torch.ones(bench.sizes.copied, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)

    def rate() -> float:
        return 2 * source.nbytes / bench.seconds(lambda: target.copy_(source), TIMED)  # read, and written

    found = interleave({"copy": rate}, rounds=ROUNDS, seconds=seconds)["copy"]
    bench.bandwidth = sorted(found)[len(found) // 2]
    rows = (Row(series="copy, MB", x=source.nbytes / 2**20, values=tuple(rate / 1e9 for rate in found)),)
    return Report(name="bandwidth", title="Bytes read and written a second", x="MB", y="GB/s", rows=rows)


def weight_bytes(net: VLM) -> int:
    """Return the bytes of the weights that a pass reads: all of the denoiser but the rows of its embedding."""
    tied = net.config.denoiser.tied_head
    return sum(p.nbytes for name, p in net.denoiser.named_parameters() if tied or not name.startswith("embedding"))


def pass_seconds(bench: Bench, held: PrefixCache, canvas: int) -> float:
    """Return the seconds of a forward pass over a canvas behind a prefix, and of the head."""
    x = bench.net.denoiser.embed(torch.zeros(1, canvas, dtype=torch.long, device=bench.device))

    def work() -> Tensor:
        return bench.net.denoiser.head(bench.net.denoiser(x, cache=held)[0])

    for _ in range(WARM):  # a graph is recorded in the third
        work()
    return bench.seconds(work, TIMED)


def step_seconds(bench: Bench, held: PrefixCache, canvas: int) -> float:
    """Return the seconds of a step of an answer: pass, head, scores, and the choice of tokens."""
    options = DecodeOptions(length=canvas, early_stop=False)
    steps = answer_steps(bench.net, [], options, cache=held)
    count = min(TIMED, canvas - WARM)
    for _ in range(WARM):
        next(steps)
    return bench.seconds(lambda: next(steps), count)


def _times(
    bench: Bench, arms: dict[Hashable, Callable[[], float]], seconds: float
) -> dict[Hashable, tuple[float, ...]]:
    with torch.inference_mode():
        return {name: tuple(values) for name, values in interleave(arms, rounds=ROUNDS, seconds=seconds).items()}


def step(bench: Bench, seconds: float) -> Report:
    """Hold a pass and a step against the time that reading the weights takes."""
    if bench.bandwidth is None:
        raise RuntimeError("the bandwidth was not measured")
    held = {canvas: bench.prefix(canvas) for canvas in bench.sizes.canvases}
    ways = {"pass": pass_seconds, "step": step_seconds}
    arms = {(way, n): partial(ways[way], bench, held[n], n) for n in held for way in ways}
    found, bound = _times(bench, arms, seconds), weight_bytes(bench.net) / bench.bandwidth
    rows = tuple(
        Row(
            series=way, x=n, values=_ms(values), ratios=tuple(bound / value for value in values),
            facts={"bound ms": 1000 * bound},
        )
        for (way, n), values in found.items()
    )  # fmt: skip
    title = f"Milliseconds over a canvas behind {bench.sizes.prompt} positions"
    return Report(name="step", title=title, x="canvas", y="ms", rows=rows, base="reading the weights once")


def prefix(bench: Bench, seconds: float) -> Report:
    """Compare an answer with and without the prefix cache."""
    words = bench.words()
    found = _times(bench, {cache: partial(added_up, bench.net, words, cache) for cache in ("none", "prefix")}, seconds)
    rows = tuple(
        Row(series=f"cache {cache}", x=bench.sizes.prompt, values=values, ratios=faster(values, found["none"]))
        for cache, values in found.items()
    )
    return Report(
        name="prefix", title="Seconds of 32 tokens in 32 steps", x="prompt", y="s", base="no cache", rows=rows
    )


def graphs(bench: Bench, seconds: float) -> Report:
    """Compare passes that are launched with passes that are replayed as CUDA graphs."""
    denoiser, eager = bench.net.denoiser, bench.net.denoiser.forward
    bench.record(bench.net)
    forwards = {"eager": eager, "graphs": denoiser.forward}
    held = {(way, n): bench.prefix(n) for way in forwards for n in bench.sizes.canvases}

    def timed(way: str, n: int) -> float:
        denoiser.forward = forwards[way]
        return step_seconds(bench, held[way, n], n)

    try:
        found = _times(bench, {key: partial(timed, *key) for key in held}, seconds)
    finally:
        denoiser.forward = eager
    rows = tuple(
        Row(series=way, x=n, values=_ms(values), ratios=faster(values, found["eager", n]))
        for (way, n), values in found.items()
    )
    return Report(name="graphs", title="Milliseconds of a step", x="canvas", y="ms", rows=rows, base="launched passes")


def first_image(bench: Bench, seconds: float) -> Report:
    """Time an answer about a picture that is new, that was seen, and that was asked the same before."""
    photo = Image.open(PHOTO).convert("RGB")
    asked = {"length": bench.sizes.length, "steps": bench.sizes.steps, "early_stop": False}

    def answer(before: str | None) -> float:
        bench.model.forget()
        if before is not None:
            bench.model.ask(photo, before, **asked)
        return bench.seconds(lambda: bench.model.ask(photo, QUESTION, **asked))

    befores = {"new picture": None, "seen picture": "Describe the image.", "the same question": QUESTION}
    found = _times(bench, {name: partial(answer, before) for name, before in befores.items()}, seconds)
    rows = tuple(
        Row(series=name, x=bench.sizes.steps, values=values, ratios=faster(values, found["new picture"]))
        for name, values in found.items()
    )
    return Report(name="first_image", title="Seconds of an answer", x="steps", y="s", rows=rows, base="a new picture")


def batches(bench: Bench, seconds: float) -> Report:
    """Count the answers a second of an engine that writes several side by side."""
    photo, sizes = Image.open(PHOTO).convert("RGB"), bench.sizes
    largest = sizes.batches[-1]
    engines = {
        "shared": Engine(bench.model, most=largest, rows=largest * sizes.length, exact=False),
        "exact": Engine(bench.model, most=largest, rows=largest * sizes.length),
    }

    def rate(way: str, n: int) -> float:
        bench.model.forget()
        bench.model.ask(photo, "Look.", length=1)  # the picture is encoded

        def write() -> None:
            options = {"length": sizes.length, "steps": sizes.steps, "early_stop": False}
            tickets = [engines[way].submit(photo, f"{QUESTION} {i}", **options) for i in range(n)]
            engines[way].run()
            for ticket in tickets:
                ticket.result()

        return n / bench.seconds(write)

    chosen: dict[Hashable, Callable[[], float]] = {("shared", n): partial(rate, "shared", n) for n in sizes.batches}
    chosen |= {("exact", n): partial(rate, "exact", n) for n in (1, largest)}
    found = _times(bench, chosen, seconds)
    rows = tuple(
        Row(series=way, x=n, values=rates, ratios=faster(found["shared", 1], rates))
        for (way, n), rates in found.items()
    )
    return Report(name="engine", title="Answers a second", x="answers", y="answers/s", rows=rows, base="one answer")


def int8(bench: Bench, seconds: float) -> Report:
    """Compare weights of 8 bits with those of 16. The model keeps the 8 bits: the last part that uses it."""
    canvases = bench.sizes.canvases[:2]

    def measured(share: float) -> dict[Hashable, tuple[float, ...]]:
        held = {n: bench.prefix(n) for n in canvases}
        return _times(bench, {n: partial(step_seconds, bench, held[n], n) for n in canvases}, share)

    sizes, found = {}, {}
    for name in ("bfloat16", "int8"):
        if name == "int8":
            quantize(bench.net, "int8")
        sizes[name] = sum(t.nbytes for t in bench.net.denoiser.state_dict().values()) / 1e9
        found[name] = measured(seconds / 2)
    rows = tuple(
        Row(
            series=name, x=n, values=_ms(values), ratios=_medians(found["bfloat16"][n], values),
            facts={"GB": sizes[name]},
        )
        for name, by_canvas in found.items()
        for n, values in by_canvas.items()
    )  # fmt: skip
    return Report(name="int8", title="Milliseconds of a step", x="canvas", y="ms", rows=rows, base="bfloat16, before")


def official(bench: Bench, seconds: float) -> Report:
    """Run `benchmarks.official`, which has a process of its own for either side."""
    options = [word for name, value in bench.official.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "benchmarks.official", *options, "--device", str(bench.device)]
    command += ["--rounds", "3", "--seconds", str(seconds / 2), "--out", str(bench.out)]
    subprocess.run(command, cwd=ROOT, timeout=seconds, check=True)
    return Report.from_json(loads((bench.out / "official.json").read_text()))


def _ms(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(1000 * value for value in values)


def _medians(base: Sequence[float], values: Sequence[float]) -> tuple[float, ...]:
    """Return the ratio of medians, since the rounds of both were not in turn."""
    return (sorted(base)[len(base) // 2] / sorted(values)[len(values) // 2],)
