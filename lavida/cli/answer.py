"""What `describe` and `ask` have in common: for each picture one answer, printed as text, JSON or a live canvas."""

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

AT_ONCE = 8  # answers written side by side, if their keys fit into memory
JSON_FIELDS = ("image", "prompt", "text", "steps", "seconds", "tokens_per_forward")


def answer_all(images: list[str], question: str | None, request: Arguments) -> int:
    """Answer `question` (None = describe) for every picture; one bad picture does not stop the others."""
    from lavida import api
    from lavida.checkpoint.named import MODELS

    api.check_options(request.model, request.decode)  # told before a model is loaded or a picture read
    model = None
    if images or request.video:
        groups = _groups(images, request)
    else:
        _check_stdin(request.model in MODELS)
        model = _load(request)
        sees = model.net.config.vision is not None
        _check_stdin(sees)
        groups = _groups(["-"], request) if sees else [[]]
    code = 0
    _check_record(groups, request)
    for name, answer in _begun(groups, question or api.DESCRIBE, request, model):
        try:
            _print(answer(), request, name=name if len(groups) > 1 else None)
        except LavidaError as error:
            code = complain(error)
    return code


def _begun(
    groups: list[list[Input | Video | LavidaError]], question: str, request: Arguments, model: Model | None
) -> Iterator[tuple[str, Callable[[], Answer]]]:
    """What each answer is about, and how to wait for it, in order; some are written side by side."""
    waiting: deque[tuple[str, Callable[[], Answer]]] = deque()
    engine, most = None, 1
    for group in groups:
        try:
            opened = [_open(one, request) for one in group]
            if model is None:
                model = _load(request)
            if engine is None and len(groups) > 1 and (most := _at_once(model, request)) > 1:
                from lavida.engine import Engine

                engine = Engine(model, most=most)
            name = ", ".join(one.name for one in group)
            shown = [_suited(model, one, file) for one, file in zip(opened, group, strict=True)]
            if engine is None:
                answer = partial(_answer, model, shown, name, question, request)
            else:
                answer = partial(_shared, engine.submit(shown, question, **request.decode), name)
            waiting.append((name, answer))
        except LavidaError as error:
            waiting.append(("", partial(_failed, error)))
        if len(waiting) >= most:
            yield waiting.popleft()
    yield from waiting


def _at_once(model: Model, request: Arguments) -> int:
    """How many answers share their passes: one where somebody watches, times or limits it, or memory is dear."""
    if request.show or request.record or request.time or request.decode.get("deadline"):
        return 1
    from lavida.cache.store import BUDGET

    denoiser, weight = model.net.config.denoiser, model.net.denoiser.embedding.weight
    of_token = 2 * denoiser.n_layers * denoiser.n_kv_heads * denoiser.head_dim * weight.itemsize  # bytes of its keys
    return max(1, min(AT_ONCE, BUDGET // (of_token * denoiser.max_length)))


def _shared(ticket: Ticket, name: str) -> Answer:
    return replace(ticket.result(), image=name)


def _failed(error: LavidaError) -> Answer:
    raise error


def _groups(images: list[str], request: Arguments) -> list[list[Input | Video | LavidaError]]:
    """What each answer is about."""
    shown: list[Input | Video | LavidaError] = list(_inputs(images))
    if request.video:
        shown.append(Video(source=request.video, frames=request.frames))
    elif request.frames:
        raise RequestError("--frames goes with --video; name the video")
    return [shown] if request.together else [[one] for one in shown]


def _inputs(images: list[str]) -> Iterator[Input | LavidaError]:
    for arg in images:
        try:
            yield from expand_input(arg)
        except LavidaError as error:  # told in its turn, after the answers before it
            yield error


def _check_stdin(wanted: bool) -> None:
    if wanted and sys.stdin.isatty():
        raise RequestError('no picture; say lavida ask photo.jpg "What is this?" or pipe one in')


def _check_record(groups: list[list[Input | Video | LavidaError]], request: Arguments) -> None:
    if request.record and len(groups) > 1:
        raise RequestError(f"--record takes one picture, got {len(groups)}; record them one by one")
    if request.record and not (len(groups[0]) == 1 and isinstance(groups[0][0], (Input, LavidaError))):
        raise RequestError("--record shows one picture beside its answer; ask about one picture alone")


def _open(one: Input | Video | LavidaError, request: Arguments) -> Image.Image | Video:
    """A picture, if it can be read at all; a video is opened by the model, which knows how many frames it holds."""
    if isinstance(one, LavidaError):
        raise one
    if isinstance(one, Video):
        return one
    return open_image(one.source, name=one.name, any_shape=True, official=request.decode["compat"] == "official")


def _suited(model: Model, opened: Image.Image | Video, file: Input | Video) -> Image.Image | Video:
    from lavida.decode.request import open_picture

    return opened if isinstance(opened, Video) else open_picture(model.net.config, opened, name=file.name)


def _load(request: Arguments) -> Model:
    from lavida import api

    start = time.perf_counter()
    model = api.load(request.model, **request.load)
    if request.time:
        print(f"model loaded in {time.perf_counter() - start:.2f} s", file=sys.stderr)
    return model


def _answer(model: Model, shown: list[Image.Image | Video], name: str, question: str, request: Arguments) -> Answer:
    from lavida.decode.request import make_request, turns_of

    drafts: list[Draft] = []
    start = time.perf_counter()
    asked = make_request(model.reader, turns_of(shown, question), request.decode, folder=model.folder)
    stream = asked.drafts()
    if request.show:
        from lavida.cli.show import show

        title = f"{name}: {question}" if name else question
        stream = show(stream, title=title, file=sys.stderr if request.json else sys.stdout)
    if request.show or request.record:
        drafts.extend(stream)
    else:
        asked.run()
    seconds = time.perf_counter() - start
    answer = replace(asked.answer(seconds), image=name)
    if request.record:
        from lavida.cli.record import animation

        write_text(request.record, animation(drafts, picture=shown[0], title=question))
    if request.time:
        print(
            f"answered in {seconds:.2f} s: {answer.steps} steps, {answer.tokens_per_forward:.1f} tokens per step",
            file=sys.stderr,
        )
        if answer.chosen:
            print(f"chosen: {told(answer.chosen.to_json())}", file=sys.stderr)
    return answer


def _print(answer: Answer, request: Arguments, *, name: str | None) -> None:
    if request.json:
        chosen = {"chosen": answer.chosen.to_json()} if answer.chosen else {}
        line = json.dumps({f: getattr(answer, f) for f in JSON_FIELDS} | chosen, ensure_ascii=False)
    else:
        line = answer.text if name is None else f"{name}: {answer.text}"
    print(line, flush=True)


def told(facts: dict[str, Any]) -> str:
    """Names and values in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def write_text(path: Path, text: str) -> None:
    """A file that the user named. Raises RequestError if it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {path} ({error.strerror}); choose another place or free some space") from None
