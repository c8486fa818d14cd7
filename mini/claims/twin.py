"""C1: captions and their speed against the autoregressive twin, at four numbers of passes and three lengths."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image

from benchmarks.report import Report, Row
from lavida.api import Model, load
from lavida.calibrate import resolve
from lavida.decode.driver import Job, job_steps
from mini.claims.captions import Captions, Drawn, draw, passes
from mini.claims.result import BY_SEED, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import Setting
from mini.data.questions import prompt_of

LENGTHS = {16: "caption", 32: "detailed", 64: "detailed"}  # of the canvas, and what is written on it
SHARES = {"L": 1.0, "3/4 L": 0.75, "1/2 L": 0.5, "1/4 L": 0.25}  # passes by length
OURS, TWIN, TODAY = "run 5", "twin", "today"


class Arm(NamedTuple):
    """Name one way to write a caption; the twin takes a pass a token and has no number of passes."""

    model: str
    length: int
    share: str = ""


class Seconds(NamedTuple):
    """Hold processor seconds of one answer: opening picture and prompt, and denoising."""

    reading: float
    writing: float


def arms(length: int) -> Iterator[Arm]:
    """Yield the arms of one length."""
    yield Arm(TWIN, length)
    for model in (OURS, TODAY):
        for share in SHARES:
            yield Arm(model, length, share)


def options_of(arm: Arm) -> dict[str, Any]:
    """Return the options of decoding of an arm."""
    return {"length": arm.length} | ({"steps": int(arm.length * SHARES[arm.share])} if arm.share else {})


def measure(setting: Setting) -> Result:
    """Compare CIDEr-D and processor seconds of the three models."""
    models = {
        OURS: load(setting.counterpart, threads=1),
        TWIN: setting.autoregressive,
        TODAY: setting.ours,
    }
    counts = {16: setting.some(20, 6), 32: setting.some(12, 3), 64: setting.some(2, 1)}
    scores: dict[Arm, BY_SEED] = {}
    made: dict[Arm, float] = {}
    for length, kind in LENGTHS.items():
        drawn = draw(setting.data, counts[length], setting.seeds)
        for name, model in models.items():
            captions = Captions(model, drawn, kind)
            for arm in arms(length):
                if arm.model == name:
                    written = captions.write(options_of(arm))
                    scores[arm], made[arm] = captions.scores(written), passes(written)
            model.forget()
    seconds = timed(models, draw(setting.data, setting.some(2, 1), setting.seeds))
    return report(scores, made, seconds, counts, setting)


def timed(models: dict[str, Model], drawn: Sequence[Drawn]) -> dict[Arm, list[list[Seconds]]]:
    """Return the seconds of every arm about each picture, in turns of a random order; a first turn is not counted."""
    every = [arm for length in LENGTHS for arm in arms(length)]
    found: dict[Arm, list[list[Seconds]]] = {arm: [[] for _ in drawn] for arm in every}
    for arm in every:
        once(models[arm.model], arm, drawn[0].pictures[0])
    for seed, own in enumerate(drawn):
        rng = random.Random(seed)
        for picture in own.pictures:
            for arm in rng.sample(every, len(every)):
                found[arm][seed].append(once(models[arm.model], arm, picture))
    return found


@torch.inference_mode()
def once(model: Model, arm: Arm, picture: Image.Image) -> Seconds:
    """Write one caption about a picture that is new to the model."""
    model.forget()
    start = time.process_time()
    prompt = model.read(picture, prompt_of(LENGTHS[arm.length]))
    if prompt.prefix is not None:
        prompt.prefix.prefill()
    read = time.process_time()
    for _ in job_steps(Job(model.net, resolve(model, options_of(arm)), prompt)):
        pass
    return Seconds(read - start, time.process_time() - read)


def ratios(base: Sequence[Sequence[Seconds]], own: Sequence[Sequence[Seconds]], *, whole: bool) -> list[list[float]]:
    """Return how many times as fast as the base an arm is, picture by picture."""
    part = (lambda one: one.reading + one.writing) if whole else (lambda one: one.writing)
    return [[part(b) / part(o) for b, o in zip(*both, strict=True)] for both in zip(base, own, strict=True)]


def report(
    scores: dict[Arm, BY_SEED],
    made: dict[Arm, float],
    seconds: dict[Arm, list[list[Seconds]]],
    counts: dict[int, int],
    setting: Setting,
) -> Result:
    """Return the comparisons at the paper's length of 32, and tables of everything."""
    base = Arm(TWIN, 32)
    full, half = Arm(OURS, 32, "L"), Arm(OURS, 32, "1/2 L")
    name = "L = 32: {}, run 5 against its twin"
    checks = (
        check(name.format("CIDEr-D at K = L"), paired(scores[full], scores[base]), paper="+5.5 (117.3 against 111.8)"),
        check(name.format("CIDEr-D at K = L/2"), paired(scores[half], scores[base]), paper="+3.0 (114.8)"),
        check(
            name.format("times as fast at K = L/2, whole answer"), ratios(seconds[base], seconds[half], whole=True),
            paper="1.39 (1.23 s against 1.71 s)", bound=1.0,
        ),
    )  # fmt: skip
    rows = []
    for length in LENGTHS:
        own = Arm(TWIN, length)
        for arm in arms(length):
            alone, whole = (mean_of(ratios(seconds[own], seconds[arm], whole=w)) for w in (False, True))
            taken = [sum(one) for seed in seconds[arm] for one in seed]
            writing = [one.writing for seed in seconds[arm] for one in seed]
            rows.append(
                (
                    str(length), arm.model, arm.share or "a token a pass", mean_of(scores[arm]), made[arm],
                    sum(writing) / len(writing), sum(taken) / len(taken), alone, whole,
                )
            )  # fmt: skip
    head = (
        "L", "model", "K", "CIDEr-D", "passes", "denoising, s", "whole answer, s", "denoising, times the twin's speed",
        "whole, times the twin's speed",
    )  # fmt: skip
    listed = ", ".join(f"{setting.seeds} x {n} at L = {length}" for length, n in counts.items())
    pictures = sum(map(len, seconds[base]))
    return Result(
        claim="C1",
        measured=f"CIDEr-D of captions of new scenes ({listed}; plain captions at 16, detailed ones at 32 and 64) and "
        f"processor seconds of one thread about {pictures} new pictures, all arms in turn.",
        checks=checks,
        tables=(Table(head=head, rows=tuple(rows)),),
        charts=(chart(scores),),
        notes=(
            "The pair of one day is run 5's weights (commit c1ee7e6) and the twin, which answered as many questions. "
            "Today's weights were trained on more questions and moved towards natural ones; they stand beside it and "
            "have no part in the verdict.",
            "A whole answer includes the picture's encoder and the prompt; today's weights look for evidence there "
            "too. Processor seconds leave out waiting for other work on the machine.",
        ),
    )


def chart(scores: dict[Arm, BY_SEED]) -> Report:
    """Return CIDEr-D by share of passes; the twin is a level line."""
    rows = []
    for length in LENGTHS:
        for arm in arms(length):
            own = seed_means(scores[arm])
            at = [SHARES[arm.share]] if arm.share else [min(SHARES.values()), 1.0]
            rows += [Row(series=f"{arm.model}, L = {length}", x=x, values=own) for x in at]
    return Report(name="C1", title="CIDEr-D of captions by passes, run 5 and its twin", x="passes / L", y="CIDEr-D",
                  rows=tuple(rows))  # fmt: skip
