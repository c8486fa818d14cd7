"""Calibration: the quality of every decoding setting worth trying, and the time of a forward pass on this machine."""

from __future__ import annotations

import difflib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from lavida.api import DESCRIBE, Model
from lavida.decode.calibration import Calibration, Quality, Speed, Trial, find_calibration, fingerprint, setup_of
from lavida.decode.options import BLOCK_CACHES, DecodeOptions
from lavida.decode.request import open_picture
from lavida.decode.resolve import model_options
from lavida.errors import RequestError
from lavida.image.load import open_image
from lavida.text.words import words

SHARES = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8, 1 / 16)  # of the canvas: steps of the plain rule
RULES: tuple[dict[str, Any], ...] = (
    *({"threshold": at} for at in (0.95, 0.9, 0.7, 0.5)),
    *({"factor": at} for at in (0.5, 1.0)),
    *({"entropy_bound": at, "remasking": "entropy"} for at in (0.1, 0.5)),
)
ADAPTIVE_SHARES = (1, 1 / 4)  # of the canvas: most steps that an adaptive rule may take
ROUNDS = 5
DEMO = Path(__file__).parent / "assets" / "demo.jpg"
Options = Mapping[str, Any]  # fields of `DecodeOptions`
Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ExamAnswer:
    """Hold an answer and its cost."""

    text: str
    passes: int
    tokens: float  # the end token included


@dataclass(frozen=True, kw_only=True)
class Exam:
    """Hold questions, and the measure that their answers are judged by."""

    measure: str
    answers: Callable[[Options], Iterable[ExamAnswer]]  # in the order of the questions
    judge: Callable[[Sequence[str]], float]  # more is better, 0 at least


def calibrate(
    model: Model,
    *,
    images: Sequence[str | Path] = (),
    exam: Callable[[], Exam] | None = None,
    length: int | None = None,
    again: bool = False,
    log: Log = print,
) -> Calibration:
    """Return the model's calibration table with this machine's speed.

    Quality is measured if the table lacks it, or `again`: by the exam that `exam` returns, else as likeness
    to the slowest setting over `images`, else over the demo photograph.

    Args:
        model: A model that was loaded from a folder.
        images: Pictures to describe under every setting.
        exam: Called only if quality is measured.
        length: Tokens of the canvas that settings are tried on. Default: the model's own.
        again: Measure quality although the table has it.
        log: Receives one line for each setting.

    Raises:
        RequestError: The model has no folder, writes left to right, or is given pictures and cannot see them.
        ImageError: A picture cannot be opened.
    """
    if model.folder is None:
        raise RequestError("a model without a folder cannot be calibrated; load one with lavida.load")
    length = length or resolve(model, {}).length
    table = find_calibration(model.folder) or Calibration(model=fingerprint(model.folder))
    demo = open_image(DEMO) if model.net.config.reads_pictures else None
    quality = table.quality
    if again or quality is None:
        if exam is None and demo is None and images:
            raise RequestError(f"{model.name} has no image encoder; leave out the pictures")
        opened = [open_picture(model.net.config, image) for image in images] if exam is None else []
        chosen = likeness_exam(model, opened or [demo], DESCRIBE, length) if exam is None else exam()
        quality = measure_quality(model, chosen, length, log)
        table = replace(table, quality=quality)
    caches = sorted({tried.options["cache"] for tried in quality.tried})
    return table.timed(measure_speed(model, demo, caches, length))


def settings(model: Model, length: int) -> list[dict[str, Any]]:
    """List the combinations worth trying on a canvas of `length`, the model's default first. Raises RequestError."""
    plain = resolve(model, {"length": length})
    if model.net.config.denoiser.autoregressive:
        raise RequestError(f"{model.name} writes one token after the other; there is nothing to choose")
    caches = [plain.cache, *(c for c in BLOCK_CACHES if c != plain.cache and not model.net.config.shared_image)]
    rules = [({}, SHARES), *((rule, ADAPTIVE_SHARES) for rule in RULES)]
    found: list[dict[str, Any]] = []
    for cache, (rule, shares) in itertools.product(caches, rules):
        for share in shares:
            options = {**rule, "steps": max(1, math.ceil(share * length)), "cache": cache}
            # Left out: a rule that the family's remasking excludes, fewer steps than blocks.
            with suppress(RequestError):
                resolve(model, {**options, "length": length})
                if options not in found:
                    found.append(options)
    return found


def resolve(model: Model, options: Options) -> DecodeOptions:
    """Return the model's decoding options with `options` set. Raises RequestError."""
    return model_options(model.net.config, model.tokenizer.size, options)


def measure_quality(model: Model, exam: Exam, length: int, log: Log = print) -> Quality:
    """Try every setting on the questions of an exam."""
    tried = []
    for options in settings(model, length):
        answers = list(exam.answers({**options, "length": length}))
        quality = exam.judge([answer.text for answer in answers])
        passes, tokens = (statistics.mean(getattr(answer, name) for answer in answers) for name in ("passes", "tokens"))
        tried.append(Trial(options=options, quality=quality, tokens=tokens, passes=passes))
        listed = ", ".join(f"{name} {value}" for name, value in options.items())
        log(f"{listed}: {quality:.4f}, {passes:.2f} passes")
    return Quality(measure=exam.measure, length=length, tried=tuple(tried))


def likeness_exam(model: Model, pictures: Sequence[Any], question: str, length: int) -> Exam:
    """Return an exam that compares answers about any pictures with those of one token a step.

    It measures what few steps lose, not whether an answer is true.
    """
    answers = [model.ask(picture, question, length=length).text for picture in pictures]
    whole = [words(text) for text in answers]

    def ask(options: Options) -> Iterator[ExamAnswer]:
        for picture in pictures:
            answer = model.ask(picture, question, **options)
            yield ExamAnswer(text=answer.text, passes=answer.steps, tokens=answer.tokens_per_forward * answer.steps)

    def judge(texts: Sequence[str]) -> float:
        pairs = zip(whole, map(words, texts), strict=True)
        return statistics.mean(difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() for a, b in pairs)

    measure = f"likeness to the answers of one token a step, of {len(pictures)} pictures"
    return Exam(measure=measure, answers=ask, judge=judge)


def measure_speed(model: Model, picture: Image.Image | None, caches: Sequence[str], length: int) -> Speed:
    """Time the parts of an answer, all of them in turn within each round.

    Args:
        model: The model, on the device that it will be used on.
        picture: A picture to encode; None for a model without an image encoder.
        caches: The prompt caches whose forward passes are timed.
        length: Tokens of the longer of two canvases.
    """
    pictures = [] if picture is None else [picture, ImageOps.mirror(picture)]
    short, long = max(1, length // 4), length
    starts = {n: partial(_time_start, model, pictures[:n]) for n in range(len(pictures) + 1)}
    passes = {
        (cache, canvas): partial(_time_pass, model, pictures[:1], cache, canvas)
        for cache, canvas in itertools.product(caches, (short, long))
    }
    times: dict[Any, list[float]] = {part: [] for part in (*starts, *passes)}
    for turn in range(ROUNDS + 1):
        for part, measure in (*starts.items(), *passes.items()):
            seconds = measure()
            times[part] += [seconds] * (turn > 0)  # the first round warms up
    # Upper quartiles: a deadline should be kept more often than not.
    found = {part: statistics.quantiles(taken, n=4, method="inclusive")[2] for part, taken in times.items()}
    before = [max(0.0, found[n] - found[caches[0], short]) for n in starts]
    per_picture = max(0.0, before[-1] - before[0]) / max(1, len(pictures))
    slopes = {cache: max(0.0, (found[cache, long] - found[cache, short]) / max(1, long - short)) for cache in caches}
    costs = {cache: (max(0.0, found[cache, short] - slope * short), slope) for cache, slope in slopes.items()}
    return Speed(setup=setup_of(model.net), words=before[0], picture=per_picture, passes=costs)


def _time_start(model: Model, pictures: Sequence[Image.Image]) -> float:
    """Return seconds of the shortest answer about new pictures: image encoder, prompt and one pass."""
    model.forget()
    start = time.perf_counter()
    for _ in model.stream(list(pictures), DESCRIBE, length=1):
        pass
    return time.perf_counter() - start


def _time_pass(model: Model, pictures: Sequence[Image.Image], cache: str, length: int) -> float:
    """Return seconds of a pass: the mean of those after the first, which begins with the prompt."""
    options: dict[str, Any] = {"length": length, "steps": min(length, 5), "cache": cache, "early_stop": False}
    drafts = model.stream(list(pictures), DESCRIBE, **options)
    next(drafts)
    start = time.perf_counter()
    passes = sum(1 for _ in drafts)
    return (time.perf_counter() - start) / max(1, passes)
