"""Answers of `describe` and `ask`: one for each picture, printed as text, JSON or a live canvas."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavida.cli.main import complain
from lavida.cli.options import Arguments
from lavida.errors import LavidaError, RequestError
from lavida.image.load import Input, expand_input, open_image
from lavida.image.video import Video

if TYPE_CHECKING:
    from PIL import Image

    from lavida.api import Answer, Draft, Model
    from lavida.engine import Ticket

AT_ONCE = 8  # answers that share forward passes, if their keys fit into memory
JSON_FIELDS = ("image", "prompt", "text", "steps", "seconds", "tokens_per_forward")


def answer_all(images: list[str], question: str | None, arguments: Arguments) -> int:
    """Answer `question` (None = describe) for every picture; one bad picture does not stop the others."""
    from lavida import api
    from lavida.checkpoint.named import MODELS

    api.check_options(arguments.model, arguments.decode)  # reported before a model is loaded or a picture read
    model = None
    if images or arguments.video:
        groups = _groups(images, arguments)
    else:
        _check_stdin(arguments.model in MODELS)
        model = _load(arguments)
        sees = model.net.config.vision is not None
        _check_stdin(sees)
        groups = _groups(["-"], arguments) if sees else [[]]
    code = 0
    _check_record(groups, arguments)
    for name, answer in _start(groups, question or api.DESCRIBE, arguments, model):
        try:
            _print(answer(), arguments, name=name if len(groups) > 1 else None)
        except LavidaError as error:
            code = complain(error)
    return code


def _start(
    groups: list[list[Input | Video | LavidaError]], question: str, arguments: Arguments, model: Model | None
) -> Iterator[tuple[str, Callable[[], Answer]]]:
    """Yield the name of each answer and a function that waits for it, in order; some share forward passes."""
    waiting: deque[tuple[str, Callable[[], Answer]]] = deque()
    engine, most = None, 1
    for group in groups:
        try:
            inputs = [_require_input(entry) for entry in group]
            opened = [_open(entry, arguments) for entry in inputs]
            if model is None:
                model = _load(arguments)
            if engine is None and len(groups) > 1 and (most := _at_once(model, arguments)) > 1:
                from lavida.engine import Engine

                engine = Engine(model, most=most)
            name = ", ".join(entry.name for entry in inputs)
            shown = [_fit(model, image, entry) for image, entry in zip(opened, inputs, strict=True)]
            if engine is None:
                answer = partial(_answer, model, shown, name, question, arguments)
            else:
                answer = partial(_shared, engine.submit(shown, question, **arguments.decode), name)
            waiting.append((name, answer))
        except LavidaError as error:
            waiting.append(("", partial(_failed, error)))
        if len(waiting) >= most:
            yield waiting.popleft()
    yield from waiting


def _at_once(model: Model, arguments: Arguments) -> int:
    """Return how many answers share forward passes: one if it is watched, timed or limited, or memory is short."""
    if arguments.show or arguments.record or arguments.time or arguments.decode.get("deadline"):
        return 1
    from lavida.cache.store import BUDGET

    denoiser, weight = model.net.config.denoiser, model.net.denoiser.embedding.weight
    token_bytes = (
        2 * denoiser.n_layers * denoiser.n_kv_heads * denoiser.head_dim * weight.itemsize
    )  # of its keys and values
    return max(1, min(AT_ONCE, BUDGET // (token_bytes * denoiser.max_length)))


def _shared(ticket: Ticket, name: str) -> Answer:
    return replace(ticket.result(), image=name)


def _failed(error: LavidaError) -> Answer:
    raise error


def _groups(images: list[str], arguments: Arguments) -> list[list[Input | Video | LavidaError]]:
    """Return the pictures of each answer."""
    shown: list[Input | Video | LavidaError] = list(_inputs(images))
    if arguments.video:
        shown.append(Video(source=arguments.video, frames=arguments.frames))
    elif arguments.frames:
        raise RequestError("--frames goes with --video; name the video")
    return [shown] if arguments.together else [[entry] for entry in shown]


def _inputs(images: list[str]) -> Iterator[Input | LavidaError]:
    for arg in images:
        try:
            yield from expand_input(arg)
        except LavidaError as error:  # reported in its turn, after the answers before it
            yield error


def _check_stdin(wanted: bool) -> None:
    if wanted and sys.stdin.isatty():
        raise RequestError('no picture; say lavida ask photo.jpg "What is this?" or pipe one in')


def _check_record(groups: list[list[Input | Video | LavidaError]], arguments: Arguments) -> None:
    if arguments.record and len(groups) > 1:
        raise RequestError(f"--record takes one picture, got {len(groups)}; record them one by one")
    if arguments.record and not (len(groups[0]) == 1 and isinstance(groups[0][0], (Input, LavidaError))):
        raise RequestError("--record shows one picture beside its answer; ask about one picture alone")


def _require_input(entry: Input | Video | LavidaError) -> Input | Video:
    if isinstance(entry, LavidaError):
        raise entry
    return entry


def _open(entry: Input | Video, arguments: Arguments) -> Image.Image | Video:
    """Open a picture; a video is opened by the model, which knows how many frames it holds."""
    if isinstance(entry, Video):
        return entry
    return open_image(entry.source, name=entry.name, any_shape=True, official=arguments.decode["compat"] == "official")


def _fit(model: Model, opened: Image.Image | Video, file: Input | Video) -> Image.Image | Video:
    from lavida.decode.request import open_picture

    return opened if isinstance(opened, Video) else open_picture(model.net.config, opened, name=file.name)


def _load(arguments: Arguments) -> Model:
    from lavida import api

    start = time.perf_counter()
    model = api.load(arguments.model, **arguments.load)
    if arguments.time:
        print(f"model loaded in {time.perf_counter() - start:.2f} s", file=sys.stderr)
    return model


def _answer(model: Model, shown: list[Image.Image | Video], name: str, question: str, arguments: Arguments) -> Answer:
    from lavida.decode.request import make_request, turns_of

    drafts: list[Draft] = []
    start = time.perf_counter()
    job = make_request(model.reader, turns_of(shown, question), arguments.decode, folder=model.folder)
    stream = job.drafts()
    if arguments.show:
        from lavida.cli.show import show

        title = f"{name}: {question}" if name else question
        stream = show(stream, title=title, file=sys.stderr if arguments.json else sys.stdout)
    if arguments.show or arguments.record:
        drafts.extend(stream)
    else:
        job.run()
    seconds = time.perf_counter() - start
    answer = replace(job.answer(seconds), image=name)
    if arguments.record:
        from lavida.cli.record import animation

        (picture,) = (image for image in shown if not isinstance(image, Video))
        write_text(arguments.record, animation(drafts, picture=picture, title=question))
    if arguments.time:
        print(
            f"answered in {seconds:.2f} s: {answer.steps} steps, {answer.tokens_per_forward:.1f} tokens per step",
            file=sys.stderr,
        )
        if answer.chosen:
            print(f"chosen: {as_line(answer.chosen.to_json())}", file=sys.stderr)
    return answer


def _print(answer: Answer, arguments: Arguments, *, name: str | None) -> None:
    if arguments.json:
        chosen = {"chosen": answer.chosen.to_json()} if answer.chosen else {}
        line = json.dumps({f: getattr(answer, f) for f in JSON_FIELDS} | chosen, ensure_ascii=False)
    else:
        line = answer.text if name is None else f"{name}: {answer.text}"
    print(line, flush=True)


def as_line(facts: dict[str, Any]) -> str:
    """Return names and values in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def write_text(path: Path, text: str) -> None:
    """Write a file that the user named. Raises RequestError if that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {path} ({error.strerror}); choose another place or free some space") from None
