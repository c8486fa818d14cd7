"""What a training step costs: its share of the machine's matmul peak, complementary masking beside its alternatives.

    python benchmarks/training_step.py                                             # lavida-mini on the CPU
    python benchmarks/training_step.py --model my-model --device cuda --samples 8

Four ways to make the same number of masked rows for the denoiser (but the last, which makes half as many):

    complementary   B samples, each under a mask and under its complement; a picture is encoded once
    redrawn         B samples, each under two masks drawn apart; a picture is encoded once
    independent     2 B other samples under one mask each, so twice as many pictures are encoded
    single          B samples under one mask each

A step is forward, backward and AdamW, of all parts unless `--parts` says otherwise. All ways run in turn within each
round, the peak is measured in between, and shares and ratios are taken within a round, so that a slow moment of the
machine meets all of them. Other work on the same cores makes a step longer and the peak lower; `cpu seconds` are those
of the processors, which it changes little.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lavida.checkpoint.named import find_model, load_net, tokenizer_of
from lavida.config import VLMConfig
from lavida.data.collate import Batch, collate
from lavida.data.encode import Encoder
from lavida.data.samples import Sample
from lavida.diffusion.objective import Objective
from lavida.model.vlm import VLM
from lavida.text.messages import Part, Turn
from lavida.train.finetune import PARTS, own_memory, thaw
from lavida.train.speed import count_flops, matmul_peak
from lavida.train.step import Targets, TrainingStep, draw_targets

WORDS = "a red cat and two small dogs sit on the left of an old wooden table with one cup and a plate".split()


@dataclass(frozen=True, kw_only=True)
class Way:
    """How answers are masked: so many samples for each one asked for, in so many copies."""

    samples: int
    copies: int
    complementary: bool


WAYS = {
    "complementary": Way(samples=1, copies=2, complementary=True),
    "redrawn": Way(samples=1, copies=2, complementary=False),
    "independent": Way(samples=2, copies=1, complementary=False),
    "single": Way(samples=1, copies=1, complementary=False),
}


@dataclass(kw_only=True)
class Cost:
    """What the rounds of one way took; operations and shares do not change between them."""

    samples: int
    operations: int
    views: int  # that pass the tower in a step
    learnt: float  # share of the samples' answer tokens that a step predicts
    seconds: list[float]
    cpu: list[float]
    share: list[float]  # of the peak


def sample(number: int, words: int, config: VLMConfig, rng: random.Random) -> Sample:
    """Return a question about a picture of noise, answered by so many words."""
    parts = [Part(kind="text", value="What is this?")]
    if config.vision is not None:
        noise = Image.frombytes("RGB", (448, 448), rng.randbytes(448 * 448 * 3))
        data = io.BytesIO()
        noise.save(data, "PNG", compress_level=1)
        parts.insert(0, Part(kind="image", value=data.getvalue()))
    answer = Part(kind="text", value=" ".join(rng.choices(WORDS, k=words)))
    turns = (Turn(role="user", parts=tuple(parts)), Turn(role="assistant", parts=(answer,)))
    return Sample(name=f"noise:{number}", turns=turns)


def masks(batch: Batch, way: Way, objective: Objective, generator: torch.Generator) -> Targets:
    """Return the masks of a batch in as many copies as the way has."""
    drawn = draw_targets(batch, replace(objective, complementary=way.complementary), generator)
    return replace(drawn, masked=drawn.masked[: way.copies], p=drawn.p[: way.copies])


def views_of(vlm: VLM, work: Callable[[], Tensor]) -> int:
    """How many views pass the tower while `work` runs."""
    seen: list[int] = []
    look = vlm.look
    vlm.look = lambda views, **options: seen.append(len(views)) or look(views, **options)
    try:
        work()
    finally:
        vlm.look = look
    return sum(seen)


class Step:
    """A training step of one way, again and again on the same batch."""

    def __init__(self, learner: TrainingStep, batch: Batch, hidden: Targets, dtype: torch.dtype) -> None:
        self.learner, self.batch, self.hidden, self.dtype = learner, batch, hidden, dtype
        self.device = batch.ids.device.type
        learning = [p for p in learner.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learning, lr=1e-6, fused=True)

    def loss(self) -> Tensor:
        """Return the loss of one forward pass."""
        with torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype != torch.float32):
            return self.learner(self.batch, self.hidden)[0]

    def __call__(self) -> None:
        """Make one update."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def cost(self) -> Cost:
        """All but the times."""
        answers = (self.batch.answer > 0) & self.batch.real
        return Cost(
            samples=self.batch.samples,
            operations=count_flops(lambda: self.loss().backward()),
            views=views_of(self.learner.vlm, self.loss),
            learnt=float(self.hidden.masked.any(0).sum() / answers.sum()),
            seconds=[],
            cpu=[],
            share=[],
        )


def prepare(args: argparse.Namespace) -> dict[str, Step]:
    """Return a step for each way, all of one network."""
    folder = find_model(args.model)
    vlm = load_net(folder, dtype=torch.float32, device=args.device).train()
    own_memory(vlm)
    thaw(vlm, set(args.parts))
    encode = Encoder(vlm.config, tokenizer_of(folder, vlm.config))
    rng, generator = random.Random(0), torch.Generator().manual_seed(0)
    most = args.samples * max(way.samples for way in WAYS.values())
    examples = [encode(sample(i, args.words, vlm.config, rng), rng) for i in range(most)]
    objective = Objective(attention="prefix" if vlm.config.shared_image else "full")
    learner = TrainingStep(vlm, objective)
    steps = {}
    for name, way in WAYS.items():
        batch = collate(examples[: way.samples * args.samples], pad_id=encode.pad_id).to(args.device)
        hidden = masks(batch, way, objective, generator).to(args.device)
        steps[name] = Step(learner, batch, hidden, getattr(torch, args.dtype))
    return steps


def measure(steps: dict[str, Step], rounds: int, peak: Callable[[], float]) -> tuple[dict[str, Cost], list[float]]:
    """Costs by way, and the peaks of the rounds."""
    costs, peaks = {name: step.cost() for name, step in steps.items()}, []
    for index in range(rounds + 1):  # round 0 warms up and is not counted
        highest = peak()
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            if step.device == "cuda":
                torch.cuda.synchronize()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if index:
                costs[name].seconds.append(wall)
                costs[name].cpu.append(cpu)
                costs[name].share.append(costs[name].operations / wall / highest)
        if index:
            peaks.append(highest)
    return costs, peaks


def spread(values: list[float], digits: int = 3) -> str:
    """Median and range."""
    middle, low, high = (f"{v:.{digits}f}" for v in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low} .. {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--samples", type=int, default=4, help="samples of a batch, B")
    parser.add_argument("--words", type=int, default=24, help="words of an answer")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="what learns; default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    steps = prepare(args)
    dtype = getattr(torch, args.dtype)
    costs, peaks = measure(steps, args.rounds, lambda: matmul_peak(args.device, dtype))
    tokens = steps["complementary"].batch.ids.shape[1]
    print(f"{args.device}, {args.dtype}, {torch.get_num_threads()} threads, {args.rounds} rounds: median [min .. max]")
    print(f"matmul peak {spread([p / 1e12 for p in peaks])} TFLOP/s; {args.samples} samples of {tokens} ids\n")
    print(f"{'':14s} samples  views  GFLOP  tokens learnt  {'seconds':26s} {'cpu seconds':26s} share of the peak")
    for name, cost in costs.items():
        print(
            f"{name:14s} {cost.samples:7d} {cost.views:6d} {cost.operations / 1e9:6.0f} {cost.learnt:14.0%}  "
            f"{spread(cost.seconds):26s} {spread(cost.cpu):26s} {spread(cost.share)}"
        )
    ours = costs["complementary"]
    print("\ncomplementary beside       time                       cpu time                   operations")
    for name in ("independent", "redrawn", "single"):
        other = costs[name]
        wall, cpu = ([a / b for a, b in zip(x, y)] for x, y in ((ours.seconds, other.seconds), (ours.cpu, other.cpu)))
        print(f"{name:26s} {spread(wall):26s} {spread(cpu):26s} {ours.operations / other.operations:.3f}")


if __name__ == "__main__":
    main()
