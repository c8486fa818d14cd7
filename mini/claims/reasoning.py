"""C7: chains of reasoning against direct answers, by small networks from scratch on scenes given as symbols."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.report import Report, Row
from lavida.decode.driver import Driver, Job
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.model.vlm import VLM
from mini.claims.result import BY_SEED, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import Setting
from mini.claims.small import BEGIN, END, SMALL, diffusion_loss, fit, small_net

MORE, LARGER, YES, NO = range(3, 7)
NUMBER = 7  # the first of ten numbers
NAME = 17  # the first of the names
NAMES, OBJECTS, SIZES = 8, 5, 9
LENGTH = 4  # of the answer: two facts, what follows from them, the end
END_WEIGHT = 0.2  # of end tokens in the loss, as in lavida-mini's training
KINDS = (MORE, LARGER)
ARMS = ("direct", "chain")
WAYS = {"direct": "direct", "chain": "chain", "chain, left to right": "chain"}  # how each arm's networks are asked


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Hold a scene with a question, and what the exact program says of it."""

    prompt: tuple[int, ...]  # the objects, each a name and a size; the kind of question and two names
    facts: tuple[int, int]  # how many there are of each, or how large each is
    answer: int

    def written(self, arm: str) -> list[int]:
        """Return the answer as it is taught: with the facts first, or alone."""
        ids = [*self.facts, self.answer] if arm == "chain" else [self.answer]
        return ids + [END] * (LENGTH - len(ids))


def problem(kind: int, rng: random.Random) -> Problem:
    """Draw a problem; both answers are equally likely."""
    a, b, *others = rng.sample(range(NAMES), NAMES)
    if kind == MORE:
        few, many = sorted(rng.sample(range(4), 2)) if rng.random() < 0.5 else (rng.choice([0, 1]), 2)
        counts = (many, few) if rng.random() < 0.5 else (few, many)
    else:
        counts = (1, 1)
    names = [a] * counts[0] + [b] * counts[1]
    names += [rng.choice(others) for _ in range(OBJECTS - len(names))]
    sizes = rng.sample(range(1, SIZES + 1), OBJECTS)
    objects = list(zip(names, sizes))
    if kind == MORE:
        facts, answer = counts, YES if counts[0] > counts[1] else NO
    else:
        facts = (sizes[0], sizes[1])
        answer = NAME + (a if sizes[0] > sizes[1] else b)
    rng.shuffle(objects)
    shown = [i for name, size in objects for i in (NAME + name, NUMBER + size)]
    return Problem(
        prompt=(BEGIN, *shown, kind, NAME + a, NAME + b), facts=(NUMBER + facts[0], NUMBER + facts[1]), answer=answer
    )


def measure(setting: Setting) -> Result:
    """Train networks on direct answers and on chains to the same problems; ask both about new scenes."""
    updates, rows, n = setting.some(1000, 400), 24, setting.some(150, 60)
    right: dict[tuple[str, int], BY_SEED] = {key: [] for key in itertools.product(WAYS, KINDS)}
    for seed in range(setting.seeds):
        nets = {arm: train(arm, updates, rows, seed) for arm in ARMS}
        rng = random.Random(f"held out {seed}")
        for kind in KINDS:
            asked = [problem(kind, rng) for _ in range(n)]
            for way, arm in WAYS.items():
                found = answers(nets[arm], asked, block=1 if "left" in way else None)
                right[way, kind].append([float(a == one.answer) for a, one in zip(found, asked, strict=True)])
    return report(right, updates, rows)


def train(arm: str, updates: int, rows: int, seed: int) -> VLM:
    """Train a network; both arms of a seed see the same problems in the same order."""
    rng, g, net = random.Random(seed), torch.Generator().manual_seed(seed), small_net(seed)

    def loss() -> Tensor:
        drawn = [problem(rng.choice(KINDS), rng) for _ in range(rows // 2)]
        prompts = torch.tensor([one.prompt for one in drawn])
        written = torch.tensor([one.written(arm) for one in drawn])
        return diffusion_loss(net, prompts, written, g, torch.where(written == END, END_WEIGHT, 1.0))

    return fit(net, loss, updates=updates)


@torch.inference_mode()
def answers(net: VLM, asked: list[Problem], *, block: int | None = None) -> list[int]:
    """Return the last token in front of the end of each answer, a token a pass; END for an empty one."""
    options = DecodeOptions(length=LENGTH, block=block, cache="none", early_stop=False)
    prompts = [Prompt.of(net, [net.denoiser.embed(torch.tensor([one.prompt]))], "none") for one in asked]
    jobs = [Job(net, options, prompt) for prompt in prompts]
    Driver(net, rows=4096, exact=False).run(jobs)
    written = ([i for i in job.loop.canvas.ids.tolist() if i != END] for job in jobs)
    return [ids[-1] if ids else END for ids in written]


def report(right: dict[tuple[str, int], BY_SEED], updates: int, rows: int) -> Result:
    """Return the difference over both kinds of problem, and each kind."""
    seeds = len(right["direct", MORE])
    whole = {way: [[*right[way, MORE][s], *right[way, LARGER][s]] for s in range(seeds)] for way in WAYS}
    n = sum(map(len, whole["direct"]))
    table = tuple(
        (way, *(mean_of(right[way, kind]) for kind in KINDS), mean_of(whole[way]), *seed_means(whole[way]))
        for way in WAYS
    )
    head = ("answers", "more a than b?", "which is larger?", "both", *(f"seed {s}" for s in range(seeds)))
    return Result(
        claim="C7",
        measured=f"{n} problems about new scenes of {OBJECTS} objects, given as symbols of name and size; networks of "
        f"{SMALL.n_layers} blocks of width {SMALL.d_model} from scratch, {updates} updates of {rows // 2} problems, "
        f"{seeds} seeds. A chain says two facts (how many, or how large), then the answer; the teacher is exact. "
        "Guessing gives 0.5.",
        checks=(
            check(
                "right answers: chains less direct answers", paired(whole["chain"], whole["direct"]),
                paper="+0.4 MathVista, +2.1 MathVerse, +3.6 MathVision points",
            ),
        ),
        tables=(Table(head=head, rows=table, title="Share of right answers"),),
        charts=(
            Report(name="C7", title="Right answers to new problems", x="", y="share of answers", rows=tuple(
                Row(series=way, x="both kinds", values=seed_means(own)) for way, own in whole.items()
            )),
        ),
        notes=(
            "lavida-mini itself has no Reason stage, and these are not its weights: only the objective, the loss and "
            "the decoding are the library's.",
            "Both arms see the same problems, as many updates and the same canvas. The surest token comes first, so "
            "that an answer may be written before its facts; the last row forces them first.",
        ),
    )  # fmt: skip
