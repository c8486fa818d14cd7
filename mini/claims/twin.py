"""C1: captions and their speed against the autoregressive twin, at four numbers of passes and three lengths."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from PIL import Image

from benchmarks.report import Report, Row
from lavida.api import Model, load
from lavida.calibrate import resolve
from lavida.decode.driver import Job, job_steps
from mini.claims.captions import Captions, draw, passes
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
    scores: dict[Arm, BY_SEED] = {}
    made: dict[Arm, float] = {}
    for length in LENGTHS:
        for model, share, own, taken in setting.part(f"C1-length-{length}", partial(quality, setting, length)):
            scores[Arm(model, length, share)], made[Arm(model, length, share)] = own, taken
    seconds: dict[Arm, list[list[Seconds]]] = {}
    for seed in range(setting.seeds):
        for model, length, share, own in setting.part(f"C1-seconds-{seed}", partial(timed, setting, seed)):
            seconds.setdefault(Arm(model, length, share), []).append([Seconds(*one) for one in own])
    return report(scores, made, seconds, counts(setting), setting)


def counts(setting: Setting) -> dict[int, int]:
    """Return the number of scenes of each seed, by length."""
    return {16: setting.some(16, 6), 32: setting.some(10, 3), 64: setting.some(2, 1)}


def models(setting: Setting) -> dict[str, Model]:
    """Return the three models."""
    counterpart = setting.once("counterpart", lambda: load(setting.counterpart, threads=1))
    return {OURS: counterpart, TWIN: setting.autoregressive, TODAY: setting.ours}


def quality(setting: Setting, length: int) -> list[tuple[str, str, BY_SEED, float]]:
    """Return model, share, CIDEr-D and passes of each arm of one length."""
    found, kind = [], LENGTHS[length]
    drawn = draw(setting.data, counts(setting)[length], setting.seeds)
    for name, model in models(setting).items():
        captions = Captions(model, drawn, kind)
        for arm in arms(length):
            if arm.model == name:
                written = captions.write(options_of(arm))
                found.append((name, arm.share, captions.scores(written), passes(written)))
        model.forget()
    return found


def timed(setting: Setting, seed: int) -> list[tuple[str, int, str, list[Seconds]]]:
    """Return the seconds of every arm about each picture of a seed, in turns of a random order.

    Each model and length is tried once before, by its shortest arm, which is not counted.
    """
    loaded, pictures = models(setting), draw(setting.data, setting.some(2, 1), seed + 1)[seed].pictures
    every = [arm for length in LENGTHS for arm in arms(length)]
    found: dict[Arm, list[Seconds]] = {arm: [] for arm in every}
    for arm in every:
        if arm.share in ("", "1/4 L"):
            once(loaded[arm.model], arm, pictures[0])
    rng = random.Random(seed)
    for picture in pictures:
        for arm in rng.sample(every, len(every)):
            found[arm].append(once(loaded[arm.model], arm, picture))
    return [(*arm, own) for arm, own in found.items()]


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
    numbers: dict[int, int],
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
    listed = ", ".join(f"{setting.seeds} x {n} at L = {length}" for length, n in numbers.items())
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
            if arm.model != TODAY:
                rows += [Row(series=f"{arm.model}, L = {length}", x=x, values=own) for x in at]
    return Report(name="C1", title="CIDEr-D of captions by passes, run 5 and its twin", x="passes / L", y="CIDEr-D",
                  rows=tuple(rows))  # fmt: skip
