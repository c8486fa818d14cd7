"""A question of a request on its way to the service: its place in the queue, its turns and its options."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from lavida.api import Model
from lavida.decode.options import OPTIONS, DecodeOptions
from lavida.decode.request import open_prompt, read_prompt
from lavida.decode.resolve import model_options
from lavida.edit.infill import Infill, infill
from lavida.serve.bounds import check_holes
from lavida.serve.errors import FieldError
from lavida.serve.pictures import PictureDecoder
from lavida.serve.protocol import Question
from lavida.serve.reply import Reply, Usage
from lavida.serve.service import Place, Queued, Service, Written
from lavida.serve.settings import Settings
from lavida.serve.turns import read_turns
from lavida.text.messages import Turn

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Server:
    """Hold what the routes share."""

    service: Service
    settings: Settings
    decoder: PictureDecoder
    hide: Callable[[str], str]  # takes paths out of messages


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Hold a question whose place is taken and whose pictures are decoded."""

    server: Server
    body: Question
    place: Place
    turns: Sequence[Turn]
    options: Mapping[str, Any]  # as of `Model.ask`
    stop: Sequence[str]

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.place.held.name

    def decoding(self) -> DecodeOptions:
        """Return the options over those of the model, without the form of the answer. Raises RequestError."""
        model = self.place.held.model
        plain = {name: value for name, value in self.options.items() if name in OPTIONS}
        return model_options(model.net.config, model.tokenizer.size, plain)

    def stream(self, *, seed: int | None = None, drafts: bool = True) -> AsyncGenerator[Queued | Written | Reply, None]:
        """Yield what becomes of the answer; `seed` is another one than the options have."""
        options = self.options if seed is None else {**self.options, "seed": seed}
        return self.server.service.stream(
            self.model, self.turns, options, deadline=self.body.timeout, stop=self.stop, place=self.place, drafts=drafts
        )

    async def answers(self, seeds: Sequence[int | None]) -> list[Reply]:
        """Return an answer for each seed; they are written side by side."""
        return await together([self._answer(seed) for seed in seeds])

    async def _answer(self, seed: int | None) -> Reply:
        options = self.options if seed is None else {**self.options, "seed": seed}
        return await self.server.service.answer(
            self.model, self.turns, options, deadline=self.body.timeout, stop=self.stop, place=self.place
        )

    async def filled(self, text: str) -> tuple[Infill, Usage]:
        """Return a text with its holes filled. Raises RequestError."""
        options = {name: value for name, value in self.options.items() if name != "cache"}

        def fill(model: Model) -> tuple[Infill, Usage]:
            start = time.perf_counter()
            ids, opened = open_prompt(model.reader, self.turns)
            cache = self.options.get("cache") or self.decoding().cache
            prompt = read_prompt(model.reader, ids, opened, cache=cache)
            found = infill(prompt, text, **options)
            usage = Usage(
                prompt=prompt.length,
                image=sum(len(image.tokens) for image in prompt.images),
                cached=prompt.cached,
                completion=sum(hole.tokens for hole in found.holes),
                steps=None,
                seconds=time.perf_counter() - start,
            )
            return found, usage

        check_holes(self.place.held.model, text)
        self.decoding()  # which refuses what is wrong before a place on the engine is taken
        return await self.server.service.call(self.model, fill, deadline=self.body.timeout, place=self.place)


@asynccontextmanager
async def asking(server: Server, body: Question, count: int = 1) -> AsyncIterator[Asked]:
    """Hold the places of a question; errors as of `Service.place` and `read_turns`, FieldError for too many."""
    if count > server.settings.choices:
        raise FieldError(f"n must be at most {server.settings.choices} here", param="n")
    options, stop = body.options(), body.stops_at
    async with server.service.place(body.model, count) as place:
        turns = await read_turns(
            body.messages,
            place.held,
            server.decoder,
            letters=server.settings.text,
            official=options.get("compat") == "official",
        )
        yield Asked(server=server, body=body, place=place, turns=turns, options=options, stop=stop)


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of several coroutines; when one fails or the caller is cancelled, all end."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def merged(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """Yield what several generators yield, as it comes; when one fails, all end."""
    came: asyncio.Queue[T | Exception | None] = asyncio.Queue(len(streams))

    async def pump(stream: AsyncGenerator[T, None]) -> None:
        end: Exception | None = None
        try:
            async with aclosing(stream) as items:
                async for item in items:
                    await came.put(item)
        except Exception as error:
            end = error
        await came.put(end)

    tasks = [asyncio.ensure_future(pump(stream)) for stream in streams]
    try:
        left = len(tasks)
        while left:
            item = await came.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
