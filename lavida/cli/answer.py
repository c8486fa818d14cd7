"""Answers of `describe` and `ask`: one for each picture, printed as text, JSON or a live canvas."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lavida.cli.main import complain
from lavida.cli.options import decode_arguments, load_model
from lavida.cli.output import as_line, print_facts, write_text
from lavida.errors import LavidaError, RequestError
from lavida.image.load import Input, expand_input, open_image
from lavida.image.video import Video

if TYPE_CHECKING:
    from PIL import Image

    from lavida.api import Answer, Draft, Model

JSON_FIELDS = ("image", "prompt", "text", "steps", "seconds", "tokens_per_forward")
Entry = Input | Video | LavidaError  # an error is reported in its turn, after the answers before it


def answer_all(images: list[str], question: str | None, options: Mapping[str, Any]) -> int:
    """Answer `question` (None = describe) for every picture; one bad picture does not stop the others."""
    from lavida import api

    api.check_options(options["model"], decode_arguments(options))  # before a model is loaded or a picture read
    groups = _groups(images, options)
    if options["record"] and len(groups) > 1:
        raise RequestError(f"--record takes one picture, got {len(groups)}; record them one by one")
    if options["record"] and (len(groups[0]) != 1 or isinstance(groups[0][0], Video)):
        raise RequestError("--record shows one picture beside its answer; ask about one picture alone")
    code = 0
    for name, answer in _start(groups, question or api.DESCRIBE, options):
        try:
            _print(replace(answer(), image=name), as_json=options["json"], named=len(groups) > 1)
        except LavidaError as error:
            code = complain(error)
    return code


def _groups(images: list[str], options: Mapping[str, Any]) -> list[list[Entry]]:
    """Return the pictures of each answer: those named, that on standard input, or none for a model without vision."""
    from lavida.cli.picture import waits_for_picture

    if options["frames"] and not options["video"]:
        raise RequestError("--frames goes with --video; name the video")
    if not images and not options["video"]:
        if not waits_for_picture(options["model"]):
            return [[]]
        if sys.stdin.isatty():
            raise RequestError('no picture; say lavida ask photo.jpg "What is this?" or pipe one in')
        images = ["-"]
    shown: list[Entry] = list(_inputs(images))
    if options["video"]:
        shown.append(Video(source=options["video"], frames=options["frames"]))
    return [shown] if options["together"] else [[entry] for entry in shown]


def _inputs(images: list[str]) -> Iterator[Input | LavidaError]:
    for arg in images:
        try:
            yield from expand_input(arg)
        except LavidaError as error:
            yield error


def _start(
    groups: list[list[Entry]], question: str, options: Mapping[str, Any]
) -> Iterator[tuple[str, Callable[[], Answer]]]:
    """Yield the name of each answer and a function that waits for it, in order; some share forward passes."""
    waiting: deque[tuple[str, Callable[[], Answer]]] = deque()
    model, engine, most = None, None, 1
    decode = decode_arguments(options)
    for group in groups:
        try:
            opened = [_open(entry, decode["compat"] == "official") for entry in group]
            if model is None:
                model = load_model(options)
                most = _at_once(model, options) if len(groups) > 1 else 1
            if engine is None and most > 1:
                from lavida.engine import Engine

                engine = Engine(model, most=most)
            shown = [_fit(model, name, picture) for name, picture in opened]
            name = ", ".join(name for name, _ in opened)
            if engine is None:
                waiting.append((name, partial(_answer, model, shown, name, question, options)))
            else:
                waiting.append((name, engine.submit(shown, question, **decode).result))
        except LavidaError as error:
            failed: Future[Answer] = Future()
            failed.set_exception(error)
            waiting.append(("", failed.result))
        if len(waiting) >= most:
            yield waiting.popleft()
    yield from waiting


def _at_once(model: Model, options: Mapping[str, Any]) -> int:
    """Return how many answers share forward passes: one if it is watched, timed or limited, or memory is short."""
    if any(options[name] for name in ("show", "record", "time", "deadline")):
        return 1
    from lavida.engine import answers_at_once

    return answers_at_once(model)


def _open(entry: Entry, official: bool) -> tuple[str, Image.Image | Video]:
    """Open a picture; a video is opened by the model, which knows how many frames it holds."""
    if isinstance(entry, LavidaError):
        raise entry
    if isinstance(entry, Video):
        return entry.name, entry
    return entry.name, open_image(entry.source, name=entry.name, any_shape=True, official=official)


def _fit(model: Model, name: str, opened: Image.Image | Video) -> Image.Image | Video:
    from lavida.decode.request import open_picture

    return opened if isinstance(opened, Video) else open_picture(model.net.config, opened, name=name)


def _answer(
    model: Model, shown: list[Image.Image | Video], name: str, question: str, options: Mapping[str, Any]
) -> Answer:
    from lavida.decode.request import make_request, turns_of

    start = time.perf_counter()
    request = make_request(model.reader, turns_of(shown, question), decode_arguments(options), folder=model.folder)
    stream = request.drafts()
    if options["show"]:
        from lavida.cli.show import show

        title = f"{name}: {question}" if name else question
        stream = show(stream, title=title, file=sys.stderr if options["json"] else sys.stdout)
    drafts: list[Draft] = []
    if options["show"] or options["record"]:
        drafts.extend(stream)
    else:
        request.run()
    seconds = time.perf_counter() - start
    answer = request.answer(seconds)
    if options["record"]:
        from lavida.cli.record import animation

        (picture,) = (image for image in shown if not isinstance(image, Video))
        write_text(options["record"], animation(drafts, picture=picture, title=question))
    if options["time"]:
        speed = f"{answer.steps} steps, {answer.tokens_per_forward:.1f} tokens per step"
        print(f"answered in {seconds:.2f} s: {speed}", file=sys.stderr)
        if answer.chosen:
            print(f"chosen: {as_line(answer.chosen.to_json())}", file=sys.stderr)
    return answer


def _print(answer: Answer, *, as_json: bool, named: bool) -> None:
    chosen = {"chosen": answer.chosen.to_json()} if answer.chosen else {}
    evidence = {"evidence": answer.evidence} if answer.evidence else {}
    sure = {} if answer.confidence is None else {"confidence": round(answer.confidence, 4)}
    facts = {field: getattr(answer, field) for field in JSON_FIELDS} | chosen | sure | evidence
    print_facts(facts, f"{answer.image}: {answer.text}" if named else answer.text, as_json=as_json)
