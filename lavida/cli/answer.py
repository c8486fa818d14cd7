"""What `describe` and `ask` have in common: for each picture one answer, printed as text, JSON or a live canvas."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lavida.cli.main import complain
from lavida.cli.options import Request
from lavida.errors import LavidaError, RequestError
from lavida.image.load import Input, expand_input, open_image

if TYPE_CHECKING:
    from PIL import Image

    from lavida.api import Answer, Draft, Model

JSON_FIELDS = ("image", "prompt", "text", "steps", "seconds", "tokens_per_forward")


def answer_all(images: list[str], question: str | None, request: Request) -> int:
    """Answer `question` (None = describe) for every picture; one bad picture does not stop the others."""
    from lavida import api

    api.decode_options(request.decode)  # a wrong option is told before a model is loaded or a picture read
    api.find_model(request.model)
    inputs = list(_inputs(images))
    many = len(inputs) > 1
    if request.record and many:
        raise RequestError(f"--record takes one picture, got {len(inputs)}; record them one by one")
    code, model = 0, None
    for item in inputs:
        try:
            if isinstance(item, LavidaError):
                raise item
            picture = open_image(item.source, name=item.name)
            model = model or _load(request)
            answer = _answer(model, picture, item.name, question or api.DESCRIBE, request)
        except LavidaError as error:
            code = complain(error)
        else:
            _print(answer, request, name=item.name if many else None)
    return code


def _inputs(images: list[str]) -> Iterator[Input | LavidaError]:
    for arg in images:
        try:
            yield from expand_input(arg)
        except LavidaError as error:  # told in its turn, after the answers before it
            yield error


def _load(request: Request) -> Model:
    from lavida import api

    start = time.perf_counter()
    model = api.load(request.model, device=request.device, threads=request.threads)
    if request.time:
        print(f"model loaded in {time.perf_counter() - start:.2f} s", file=sys.stderr)
    return model


def _answer(model: Model, picture: Image.Image, name: str, question: str, request: Request) -> Answer:
    drafts: list[Draft] = []
    start = time.perf_counter()
    stream = model.stream(picture, question, **request.decode)
    if request.show:
        from lavida.cli.show import show

        stream = show(stream, title=f"{name}: {question}", file=sys.stderr if request.json else sys.stdout)
    drafts.extend(stream)
    seconds = time.perf_counter() - start
    answer = model.answer(drafts[-1], image=name, question=question, seconds=seconds)
    if request.record:
        from lavida.cli.record import animation

        _write(request.record, animation(drafts, picture=picture, title=question))
    if request.time:
        print(
            f"answered in {seconds:.2f} s: {answer.steps} steps, {answer.tokens_per_forward:.1f} tokens per step",
            file=sys.stderr,
        )
    return answer


def _print(answer: Answer, request: Request, *, name: str | None) -> None:
    if request.json:
        line = json.dumps({field: getattr(answer, field) for field in JSON_FIELDS}, ensure_ascii=False)
    else:
        line = answer.text if name is None else f"{name}: {answer.text}"
    print(line, flush=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {path} ({error.strerror}); choose another place or free some space") from None
