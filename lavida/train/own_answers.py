"""Have a model answer the questions of its training data, many steps each, and keep the trajectories (few-steps).

The answers lie in `own-answers.jsonl` of the run's folder (`lavida.data.own_answers`). They depend on the model, the
data and the options of decoding alone: a run that is stopped while they are written goes on behind the last one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from lavida.api import Model
from lavida.data.own_answers import OWN_ANSWERS, OwnAnswers
from lavida.data.samples import BrokenSample, Sample, broken
from lavida.data.sources import Source
from lavida.decode.driver import Driver
from lavida.decode.loop import Step, find_stop
from lavida.decode.options import DecodeOptions
from lavida.decode.request import Request, make_request
from lavida.decode.resolve import checked_options
from lavida.errors import ConfigError, LavidaError
from lavida.text.messages import Turn
from lavida.text.words import exact
from lavida.train.distributed import PRECISIONS, gather_objects, rank, world

AT_ONCE = 16  # questions that a process answers together
_SHOWN = 20.0  # seconds between two lines of progress


@dataclass(frozen=True, kw_only=True)
class Question:
    """Name a turn of an entry that is to be answered; without a sample, `reason` says why it cannot be."""

    source: int
    index: int
    turn: int
    sample: Sample | None
    reason: str = ""


def teacher_options(model: Model, *, length: int | None, seed: int) -> DecodeOptions:
    """Return the options of own answers: those of the model's family, one token a step, without noise."""
    return checked_options(model.net.config, model.tokenizer, {"length": length, "temperature": 0.0, "seed": seed})


def write_own_answers(
    model: Model,
    sources: Sequence[Source],
    out: Path,
    *,
    length: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    until: float = float("inf"),
    say: Callable[[str], None] = print,
) -> OwnAnswers | None:
    """Answer every question of the sources, as far as that was not done yet; every process takes its share.

    Args:
        model: Answers as `Model.chat` does, after the data's own turns before.
        sources: The data; each turn of the assistant is a question.
        out: The run's folder.
        length: Tokens of the canvas; None: the family's own.
        seed: Of decoding.
        precision: Of the arithmetic, by autocast, as in training.
        until: When to stop, on the clock of `time.monotonic`.
        say: Takes a line of progress and of each question that is left out.

    Returns:
        The answers, or None if the time was over before they were all there.

    Raises:
        ConfigError: The folder holds answers of another model, other data or other options.
        DataError: The file is damaged.
    """
    options = teacher_options(model, length=length, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    held = OwnAnswers(out / OWN_ANSWERS)
    gather_objects(None)  # all have read what is there before the first process writes
    head = _head(model, sources, options, precision)
    _check(held, head)
    if held.head is None:
        _append(held, [head])
    begun, shown = len(held.lines), time.monotonic()
    questions = _questions(sources, held.lines[-1] if held.lines else None)
    given = {"length": options.length, "temperature": 0.0, "seed": seed}
    late = False
    while chunk := list(islice(questions, AT_ONCE * world())):
        if late:
            return None
        lines = _answered(model, chunk[rank() :: world()], given, precision)
        parts = gather_objects(lines)
        _append(held, [parts[i % world()][i // world()] for i in range(len(chunk))])
        for line in held.lines[-len(chunk) :]:
            if "left_out" in line and rank() == 0:
                say(f"no answer to {sources[line['source']].name}:{line['index']}: {line['left_out']}")
        late = gather_objects(time.monotonic() > until)[0]  # all do what the first one finds due
        if time.monotonic() - shown > _SHOWN and rank() == 0:
            shown = time.monotonic()
            say(f"{len(held.lines)} questions answered by the model itself")
    model.forget()
    if rank() == 0 and len(held.lines) > begun:
        say(f"{len(held.lines)} questions answered by the model itself: {held.path}")
    return held


def _head(model: Model, sources: Sequence[Source], options: DecodeOptions, precision: str) -> dict[str, Any]:
    """Return the line that says how the answers were written."""
    plain = {name: getattr(options, name) for name in ("length", "schedule", "remasking", "cache", "seed")}
    data = [[source.name, len(source), source.stamp()] for source in sources]
    return {"model": _digest(model), "data": data, "block": options.block, "options": {**plain, "precision": precision}}


def _digest(model: Model) -> str:
    """Return a mark of the weights, from some of each tensor."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.net.state_dict().items()):
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(repr(tensor.flatten()[:: max(1, tensor.numel() // 16)].tolist()).encode())
    return digest.hexdigest()[:16]


def _check(held: OwnAnswers, head: dict[str, Any]) -> None:
    if held.head is None or held.head == head:
        return
    for name, what in (("model", "another model"), ("data", "other data")):
        if held.head.get(name) != head[name]:
            raise ConfigError(f"{held.path} holds answers of {what}; give the same, or another folder by --out")
    raise ConfigError(f"{held.path} holds answers with other options of --length, --seed or --precision; give the same")


def _append(held: OwnAnswers, lines: list[dict[str, Any]]) -> None:
    """Write lines in the first process; the others hold them too."""
    if rank() == 0:
        held.append(lines)
    elif held.head is None:
        held.head = lines[0]
    else:
        held.lines += lines
    gather_objects(None)  # none goes on before they are on disk


def _questions(sources: Sequence[Source], last: dict[str, Any] | None) -> Iterator[Question]:
    """Yield the questions of all sources in order, from behind the line `last` on."""
    first, at, turn = (last["source"], last["index"], last["turn"]) if last else (0, 0, -1)
    for number in range(first, len(sources)):
        source = sources[number]
        for index in range(at if number == first else 0, len(source)):
            behind = turn if (number, index) == (first, at) else -1
            try:
                sample = source[index]
                if sample.is_text:
                    raise broken("a text without a question")
            except BrokenSample as error:
                if last is None or (number, index) != (first, at):
                    yield Question(source=number, index=index, turn=0, sample=None, reason=str(error))
                continue
            for place, spoken in enumerate(sample.turns):
                if spoken.role == "assistant" and place > behind:
                    yield Question(source=number, index=index, turn=place, sample=sample)


@torch.inference_mode()
def _answered(
    model: Model, questions: Sequence[Question], given: dict[str, Any], precision: str
) -> list[dict[str, Any]]:
    """Return the lines of some questions; their forward passes are shared where that leaves each answer the same."""
    steps: list[list[Step]] = [[] for _ in questions]
    requests: list[Request | str] = []
    for question, watched in zip(questions, steps):
        try:
            turns = question.sample.turns[: question.turn] if question.sample is not None else None
            requests.append(
                question.reason
                if turns is None
                else make_request(model.reader, turns, given, folder=model.folder, watch=watched.append)
            )
        except LavidaError as error:
            requests.append(str(error))
    device, dtype = model.net.denoiser.device.type, PRECISIONS[precision]
    driver = Driver(model.net)
    driver.jobs += [request.job for request in requests if isinstance(request, Request)]
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        while driver.jobs:
            driver.round()
    return [_line(*one) for one in zip(questions, requests, steps)]


def _line(question: Question, request: Request | str, steps: list[Step]) -> dict[str, Any]:
    """Return one answer as it is kept."""
    place = {"source": question.source, "index": question.index, "turn": question.turn}
    if isinstance(request, str):
        return {**place, "left_out": request}
    error = request.job.error
    if error is not None:
        if not isinstance(error, LavidaError):
            raise error
        return {**place, "left_out": str(error)}
    answer = request.text(request.last)
    if not answer.strip():
        return {**place, "left_out": "the model's own answer is empty"}
    assert question.sample is not None, "a question that was asked"
    truth = _words(question.sample.turns[question.turn])
    canvas = request.last.canvas
    return {
        **place,
        "question": request.question,
        "answer": answer,
        "right": exact(answer, truth),
        "canvas": canvas.tolist(),
        "steps": _committed(steps, canvas, request.options),
    }


def _committed(steps: Sequence[Step], canvas: torch.Tensor, options: DecodeOptions) -> list[int | None]:
    """Return in which step each token was committed; None behind a stop, where nothing was asked for."""
    found: list[int | None] = [None] * len(canvas)
    for step in steps:
        for position in step.committed.tolist():
            found[position] = step.index
    stop = find_stop(canvas, options.stops)
    length = next((len(s) for s in options.stops if tuple(canvas[stop : stop + len(s)].tolist()) == tuple(s)), 0)
    return [step if i < stop + length else None for i, step in enumerate(found)]


def _words(turn: Turn) -> str:
    return "".join(part.value for part in turn.parts)
